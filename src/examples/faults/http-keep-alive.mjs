// SPDX-License-Identifier: MIT
// A server closes an idle connection while the client sends the next request on it: the race of HTTP's keep-alive.
// node http-keep-alive.mjs careless|careful
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const HOST = '10.77.0.1';
const PORT = 8080;
const agent = new Agent({ keepAlive: true });

/** One GET. Its error says whether the connection had been used before. */
function attempt(path) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: HOST, port: PORT, path, agent }, async (response) => {
      response.setEncoding('utf8');
      resolve((await response.toArray()).join(''));
    });
    sent.on('error', (error) => reject(Object.assign(error, { reused: sent.reusedSocket })));
    sent.end();
  });
}

/** The bug: that the server has closed an idle connection is taken for an error of the request. */
const careless = attempt;

/** The fix: a request that changes nothing is sent again if a connection breaks that was idle before. */
async function careful(path) {
  try {
    return await attempt(path);
  } catch (error) {
    if (!error.reused || error.code !== 'ECONNRESET') throw error;
    console.error(`${error.code} on an idle connection: once more`);
    return careful(path);
  }
}

const get = { careless, careful }[process.argv[2]];
const server = createServer(({ url }, response) => response.end(`this is ${url}\n`));
server.listen(PORT, HOST);
await once(server, 'listening');
try {
  process.stdout.write(await get('/first'));
  server.closeIdleConnections(); // as a server does by itself after its keepAliveTimeout
  await sleep(500);
  process.stdout.write(await get('/second'));
} catch (error) {
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  agent.destroy();
  server.close();
}
