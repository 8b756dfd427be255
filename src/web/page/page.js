// SPDX-License-Identifier: MIT
/** Shows the messages of the server as they are. */
const socket = new WebSocket(`ws://${location.host}/live`, ['vnet-bpf', location.hash.slice(1)]);
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  document.getElementById('shown').textContent = JSON.stringify(message, null, 2);
  if (message.type === 'hello' && message.interfaces.length > 0)
    socket.send(JSON.stringify({ type: 'watch', interface: message.interfaces[0].name, frames: null }));
};
