// SPDX-License-Identifier: MIT
/** Two pages that are connected by WebRTC, and the server through which they find each other. */
import * as http from 'node:http';
import { text } from 'node:stream/consumers';

/** Time between two messages of each stream, in milliseconds. */
const TICK_MS = 20;

/**
 * The page /sender offers a connection with two channels, and sends numbers on both: a reliable one, and one that sends
 * nothing again. The page /receiver collects the numbers. The candidates of a side are part of its description.
 */
const PAGE = `<!doctype html><title>peer</title><script type="module">
window.received = [];
window.numbersSentOnce = [];
window.longestSilence = 0;
const peer = window.peer = new RTCPeerConnection();
const give = (what) => fetch('/' + what, { method: 'POST', body: JSON.stringify(peer.localDescription) });
const take = async (what) => peer.setRemoteDescription(await (await fetch('/' + what)).json());
const describe = async () => {
  await peer.setLocalDescription();
  while (peer.iceGatheringState !== 'complete') await new Promise((resolve) => (peer.onicegatheringstatechange = resolve));
};
window.roundTrip = async () => {
  const pairs = [...(await peer.getStats()).values()].filter(({ type, nominated }) => type === 'candidate-pair' && nominated);
  return Math.max(...pairs.map(({ currentRoundTripTime }) => currentRoundTripTime * 1000));
};
if (location.pathname === '/sender') {
  const sends = (channel) => {
    let next = 0;
    channel.onopen = () => setInterval(() => channel.send(String(next++)), ${TICK_MS});
  };
  sends(peer.createDataChannel('received'));
  sends(peer.createDataChannel('numbersSentOnce', { ordered: false, maxRetransmits: 0 }));
  await describe();
  await give('offer');
  await take('answer');
} else {
  let last = performance.now();
  peer.ondatachannel = ({ channel }) => {
    channel.onmessage = ({ data }) => {
      window.longestSilence = Math.max(window.longestSilence, performance.now() - last);
      last = performance.now();
      window[channel.label].push(Number(data));
    };
  };
  await take('offer');
  await describe();
  await give('answer');
}
</script>`;

/** Serves the page, and passes on what one side has to say to the other, which may ask first. */
export function peersServer(): http.Server {
  const said = new Map<string, string>();
  const waiting = new Map<string, http.ServerResponse>();
  const pass = (what: string): void => {
    const description = said.get(what);
    const response = waiting.get(what);
    if (description === undefined || !response) return;
    said.delete(what);
    waiting.delete(what);
    response.end(description);
  };
  return http.createServer((request, response) => {
    const what = request.url ?? '/';
    if (request.method === 'POST') {
      void text(request).then((description) => {
        said.set(what, description);
        pass(what);
        response.end();
      });
    } else if (what === '/offer' || what === '/answer') {
      waiting.set(what, response);
      pass(what);
    } else {
      response.setHeader('content-type', 'text/html');
      response.end(PAGE);
    }
  });
}
