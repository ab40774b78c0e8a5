/** What the tests of the edges share: a clock moved by hand, a receiver of webhooks, and a phone network around both. */
import { Buffer } from 'node:buffer';
import { serve } from '../../local/edge-server.ts';
import type { Edge } from '../../local/edge-server.ts';
import { startPhoneNetwork } from '../../local/phone-network.ts';
import type { CallRecord, Exchange } from '../../local/phone-network/exchange.ts';
import type { executionBody } from '../../local/phone-network/bolna-execution.ts';

/** A clock that stands still until it is moved; what falls due on the way runs in order, each at its own instant. */
export const manualClock = (start = '2026-03-02T10:00:00.000Z') => {
  let now = Date.parse(start);
  const timers = new Set<{ due: number; action: () => void }>();
  const after = (ms: number, action: () => void): (() => void) => {
    const timer = { due: now + ms, action };
    timers.add(timer);
    return () => timers.delete(timer);
  };
  return {
    now: () => new Date(now),
    after,
    pending: () => timers.size,
    advance(ms: number): void {
      const end = now + ms;
      for (;;) {
        const [next] = [...timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due);
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.due);
        next.action();
      }
      now = end;
    },
  };
};
export type ManualClock = ReturnType<typeof manualClock>;

/** Waits, in real time, until `read` gives something; at most 30 s. */
export const until = async <T>(what: string, read: () => Promise<T | undefined> | T | undefined): Promise<T> => {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const value = await read();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/** Uniform numbers that are the same in every run. */
export const seeded = (seed: number) => {
  let state = seed;
  return (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
};

export type Execution = ReturnType<typeof executionBody>;
export interface Reader {
  status: number;
  headers: Headers;
  body: unknown;
}

/** One JSON request. */
export const ask = async (url: string, method = 'GET', body?: unknown, headers: Record<string, string> = {}): Promise<Reader> => {
  const response = await fetch(url, {
    method,
    headers: { authorization: 'Bearer bn-test', 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = response.headers.get('content-type')?.startsWith('application/json') ?? false;
  return { status: response.status, headers: response.headers, body: json ? (JSON.parse(text) as unknown) : text };
};

/** Decides what a webhook is answered. */
export type Teller = (webhook: Execution, nth: number) => number | Promise<number>;

/** Receives webhooks. */
const startReceiver = async (answer: Teller) => {
  const got: Execution[] = [];
  const edge: Edge = await serve({ port: 0, maxBody: 1e6 }, async ({ body }) => {
    const webhook = JSON.parse(Buffer.from(body).toString('utf8')) as Execution;
    got.push(webhook);
    return { status: await answer(webhook, got.length), body: '' };
  });
  return { ...edge, got };
};

export const AGENT = 'agent-1';
/** Longer than any call. */
export const HOUR = 3_600_000;
/** The number that answers with the best score. */
export const HOT = '+12025550100';
/** A number of its own for every n, that answers. */
export const answering = (n: number): string => `+1202555${String(n).padStart(2, '0')}00`;
/** What is told of a call that is answered. */
export const ANSWERED = ['queued', 'initiated', 'ringing', 'in-progress', 'call-disconnected', 'completed'];

/** A phone network whose time stands still, with the webhooks of {@link AGENT} received by us. */
export const startScene = async (options: { random?: () => number; answer?: Teller } = {}) => {
  const clock = manualClock();
  const receiver = await startReceiver(options.answer ?? (() => 200));
  const network = await startPhoneNetwork({ clock, ...(options.random === undefined ? {} : { random: options.random }) });
  const { url } = network;
  await ask(`${url}/v2/agent/${AGENT}`, 'PATCH', { agent_config: { webhook_url: receiver.url } });
  let attempt = 0;
  const calls = async (): Promise<CallRecord[]> => (await ask(`${url}/calls`)).body as CallRecord[];
  const create = (number: string, data: Record<string, unknown> = {}, rest: Record<string, unknown> = {}, key = 'bn-test') => {
    attempt += 1;
    const user_data = { campaign_id: 'c-1', lead_id: 'l-1', attempt_id: `a-${attempt}`, ...data };
    const body = { agent_id: AGENT, recipient_phone_number: number, user_data, ...rest };
    return ask(`${url}/call`, 'POST', body, { authorization: `Bearer ${key}` });
  };
  return {
    url,
    clock,
    got: receiver.got,
    calls,
    create,
    /** The statuses received so far, in order. */
    statuses: (): string[] => receiver.got.map(({ status }) => status),
    stats: async () => (await ask(`${url}/stats`)).body as ReturnType<Exchange['stats']>,
    control: (body: unknown) => ask(`${url}/control`, 'PUT', body),
    read: async (id: string) => (await ask(`${url}/executions/${id}`)).body as Execution,
    /** Waits until so many webhooks have arrived and every delivery has its answer. */
    received: (count: number) =>
      until(`${count} webhooks`, async () => {
        const deliveries = (await calls()).flatMap(({ events }) => events.flatMap((event) => event.deliveries));
        return receiver.got.length >= count && deliveries.every(({ answer }) => answer !== null) ? true : undefined;
      }),
    async stop(): Promise<void> {
      await network.stop();
      await receiver.stop();
    },
  };
};
export type Scene = Awaited<ReturnType<typeof startScene>>;

/** Creates a call and returns its execution id. */
export const dial = async (
  scene: Scene,
  number: string,
  data: Record<string, unknown> = {},
  rest: Record<string, unknown> = {},
) => {
  const { status, body } = await scene.create(number, data, rest);
  if (status !== 200) throw new Error(`the call was answered ${status}`);
  return (body as { execution_id: string }).execution_id;
};
