/** The Neon stand-in's own manners: what it accepted it also closes, whichever side goes first. */
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startNeonProxy } from '../../local/neon-proxy.ts';
import { testDirectory } from '../support/directory.ts';

const directory = testDirectory('proxy');
const socketPath = path.join(directory, 'pg');
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

/** A startup packet: length, version 3.0, parameters. */
const startup = (): Buffer => {
  const body = Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from('user\0u\0\0')]);
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([length, body]);
};

test('a client that is held back because Postgres does not read is let go when Postgres goes', { timeout: 60_000 }, async () => {
  const arrived = Promise.withResolvers<net.Socket>();
  const postgres = net.createServer({ pauseOnConnect: true }, (socket) => arrived.resolve(socket));
  await new Promise<void>((done) => postgres.listen(socketPath, done));
  const proxy = await startNeonProxy({ postgres: { socketPath } });
  const client = new WebSocket(`ws://${proxy.wsProxy}`);
  await once(client, 'open');
  client.send(startup());
  const socket = await arrived.promise;
  for (let i = 0; i < 64; i += 1) client.send(Buffer.alloc(1 << 20));
  // More than any buffer on the way takes: the proxy holds the client back.
  while (proxy.counters().bytesFromClient < 1 << 20) await new Promise((done) => setTimeout(done, 5));
  expect(proxy.counters().bytesFromClient).toBeLessThan(64 << 20);

  socket.destroy();
  await once(client, 'close');
  await expect.poll(() => proxy.counters(), { timeout: 40_000 }).toMatchObject({ openNow: 0, opened: 1, closed: 1 });
  // 1006 would say that the good-bye was not read, and the connection cut after half a minute.
  expect(proxy.log.at(-1)).toMatchObject({ event: 'closed', detail: '1000' });
  await proxy.stop();
  postgres.close();
});
