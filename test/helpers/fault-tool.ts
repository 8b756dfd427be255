// SPDX-License-Identifier: MIT
/**
 * Workloads whose frames are the same in each run, inside a test's namespace: prints what happened as a line of JSON.
 */
import * as dgram from 'node:dgram';
import * as net from 'node:net';

export interface WorkOptions {
  address: string;
  port: number;
  /** Clients at once. */
  clients: number;
  /** Questions that each asks, one after the other. */
  questions: number;
  /** How long a client waits for an answer before it asks again, in milliseconds, and how often it asks. */
  timeoutMs: number;
  tries: number;
}

/**
 * What one client saw: for each question how often it had to ask, 0 if no answer came, and milliseconds until the
 * answer.
 */
export interface Asked {
  tries: number[];
  ms: number[];
}

type Work = (options: WorkOptions) => Promise<Asked[]>;

/** As a resolver and its clients: a question of 33 bytes, an answer of 49. */
const dns: Work = async ({ address, port, clients, questions, timeoutMs, tries }) => {
  const server = dgram.createSocket('udp4', (question, { port: to, address: at }) =>
    server.send(Buffer.concat([question, Buffer.alloc(16)]), to, at),
  );
  await new Promise<void>((resolve) => server.bind(port, address, resolve));
  const client = async (): Promise<Asked> => {
    const socket = dgram.createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, address, resolve));
    const asked: Asked = { tries: [], ms: [] };
    for (let number = 0; number < questions; number++) {
      const question = Buffer.alloc(33);
      question.writeUInt32BE(number);
      const start = performance.now();
      let count = 0;
      let answered = false;
      while (!answered && count < tries) {
        count++;
        answered = await new Promise<boolean>((resolve) => {
          const late = setTimeout(() => (socket.off('message', heard), resolve(false)), timeoutMs);
          const heard = (answer: Buffer): void => {
            if (answer.length !== 49 || answer.readUInt32BE(0) !== number) return;
            clearTimeout(late);
            socket.off('message', heard);
            resolve(true);
          };
          socket.on('message', heard);
          socket.send(question, port, address);
        });
      }
      asked.tries.push(answered ? count : 0);
      asked.ms.push(performance.now() - start);
    }
    socket.close();
    return asked;
  };
  const all = await Promise.all(Array.from({ length: clients }, client));
  server.close();
  return all;
};

/** Connections that are opened and closed at once. */
const handshakes: Work = async ({ address, port, clients, questions, timeoutMs }) => {
  const server = net.createServer((socket) => socket.on('error', () => undefined).end());
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  const client = async (): Promise<Asked> => {
    const asked: Asked = { tries: [], ms: [] };
    for (let number = 0; number < questions; number++) {
      const start = performance.now();
      const connected = await new Promise<boolean>((resolve) => {
        const socket = net.connect({ port, host: address, timeout: timeoutMs });
        const end = (is: boolean): void => (socket.destroy(), resolve(is));
        socket
          .once('connect', () => end(true))
          .once('error', () => end(false))
          .once('timeout', () => end(false));
      });
      asked.tries.push(connected ? 1 : 0);
      asked.ms.push(performance.now() - start);
    }
    return asked;
  };
  const all = await Promise.all(Array.from({ length: clients }, client));
  server.close();
  return all;
};

const WORK: Readonly<Record<string, Work>> = { dns, handshakes };

if (require.main === module) {
  const [role = '', options = ''] = process.argv.slice(2);
  void (WORK[role] as Work)(JSON.parse(options) as WorkOptions).then((result) => {
    console.log(JSON.stringify(result));
    process.exit(0);
  });
}
