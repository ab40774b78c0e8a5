/**
 * The phone network: one exchange that speaks the wire protocols of Bolna (at its root), Vapi (under `/vapi`) and Retell (under
 * `/retell`), and lets the last two digits of a number decide what becomes of the call.
 * Beside the providers' endpoints: `GET /calls`, `GET /stats`, `DELETE /stats`, `GET` and `PUT /control`, and a page at `/`.
 */
import { Buffer } from 'node:buffer';
import * as z from 'zod';
import type { Clock } from './clock.ts';
import { html, json, parseJson, serve } from './edge-server.ts';
import type { Answer, Edge, EdgeRequest, Reply } from './edge-server.ts';
import { forgetful, type Journal } from './journal.ts';
import { createBolna } from './phone-network/bolna.ts';
import { createExchange } from './phone-network/exchange.ts';
import type { Exchange } from './phone-network/exchange.ts';
import { openMemory, type Remembered } from './phone-network/memory.ts';
import { callsPage } from './phone-network/page.ts';
import { createRetell } from './phone-network/retell.ts';
import { createVapi } from './phone-network/vapi.ts';
import { ControlPatch, createWebhooks } from './phone-network/webhooks.ts';
import type { Control } from './phone-network/webhooks.ts';

export interface PhoneNetworkOptions {
  clock: Pick<Clock, 'now' | 'after'>;
  /** 0, the default, takes a free one. */
  port?: number;
  /** Uniform in [0, 1); decides which webhooks the control's shares hit. */
  random?: () => number;
  /** Where it remembers what it was asked, from one start to the next; without it it forgets. */
  journal?: Journal<Remembered>;
}

const MAX_BODY = 1024 * 1024;

/** Where each provider stands: its base URL is the network's with this path. */
export const providerUrls = (network: string) => ({ bolna: network, vapi: `${network}/vapi`, retell: `${network}/retell` });

const putControl = (exchange: Exchange, control: Control, body: unknown): Answer => {
  const patch = ControlPatch.safeParse(body);
  if (!patch.success) return json(400, { error: 400, message: z.prettifyError(patch.error) });
  Object.assign(control, patch.data);
  exchange.promote();
  return json(200, control);
};

/** A second of silence: 8 kHz, 8 bits, one channel. */
const silentWav = (): Buffer => {
  const samples = 8_000;
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(samples, 24);
  header.writeUInt32LE(samples, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(8, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples, 40);
  return Buffer.concat([header, Buffer.alloc(samples, 128)]);
};

/** What needs no key: the looking glass. Undefined for everything else. */
const lookingGlass = (exchange: Exchange, control: Control, { method, path, body }: EdgeRequest): Answer | undefined => {
  const recording = /^\/recordings\/call\/([^/]+)$/.exec(path)?.[1];
  // Bolna wants the key here; a browser that follows a link has none.
  if (recording !== undefined && method === 'GET') {
    const known = exchange.read(recording)?.status === 'completed';
    return known
      ? { status: 200, headers: { 'content-type': 'audio/wav' }, body: silentWav() }
      : json(404, { error: 404, message: 'Recording not found' });
  }
  switch (`${method} ${path}`) {
    case 'GET /':
      return html(200, callsPage(exchange));
    case 'GET /calls':
      return json(200, exchange.records);
    case 'GET /stats':
      return json(200, exchange.stats());
    case 'DELETE /stats':
      exchange.resetStats();
      return json(200, exchange.stats());
    case 'GET /control':
      return json(200, control);
    case 'PUT /control':
      return putControl(exchange, control, parseJson(body));
    default:
      return undefined;
  }
};

/** Starts the network on loopback. @throws when the port is taken */
export const startPhoneNetwork = async (options: PhoneNetworkOptions): Promise<Edge> => {
  const { port = 0, random = Math.random } = options;
  const memory = openMemory(options.clock, options.journal ?? forgetful());
  const { clock, newUuid } = memory;
  const control: Control = { ceiling: null, drop: 0, duplicate: 0, reorder: 0, delay_seconds: 0 };
  const webhooks = createWebhooks(clock, random, control);
  const started: { base: string } = { base: '' };
  const base = (): string => started.base;
  const exchange = createExchange({ clock, control, webhooks, base, newUuid });
  const bolna = createBolna(exchange, control, base);
  const prefixed = { vapi: createVapi(exchange, clock, base, newUuid), retell: createRetell(exchange, base) };

  const handle = (request: EdgeRequest): Reply => {
    const shown = lookingGlass(exchange, control, request);
    if (shown !== undefined) return shown;
    const [, prefix, rest = ''] = /^\/(vapi|retell)(\/.*)$/.exec(request.path) ?? [];
    return prefix === undefined ? bolna(request, request.path) : prefixed[prefix as keyof typeof prefixed](request, rest);
  };
  memory.recall(handle);
  webhooks.begin();

  const edge = await serve({ port, maxBody: MAX_BODY }, (request) => {
    memory.remember(request);
    return handle(request);
  });
  started.base = edge.url;
  return {
    url: edge.url,
    async stop() {
      exchange.close();
      webhooks.stop();
      await edge.stop();
    },
  };
};
