/** Simulations run in processes of their own, over this source or a copy with a bug planted in it, a core each. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Server } from './server.ts';
import type { Outcome } from './simulate.ts';
import type { TenantsPlayed } from './tenants.ts';

export interface Seeds {
  /** Played before those of the range. */
  first: readonly number[];
  range: { from: number; /** Included. */ to: number; step: number };
  /** Real instant (ms) after which no further seed begins. */
  until: number;
  /** The first seed with a violation is the last. */
  stopAtViolation: boolean;
  /** How many of each seed's last events are told. */
  events: number;
}
/** The same tenants, `of` so many, drawn from the seed `tenants`, in these companies. */
export interface Tenants {
  tenants: number;
  of: number;
  which: readonly (readonly number[])[];
}
/** What a child process is sent. */
export interface Order {
  server: Server;
  /** Replaces the project's. */
  schema?: string | undefined;
  work: Seeds | Tenants;
}
export type Message = { outcome: Outcome } | { tenants: TenantsPlayed } | { failed: string };

export const NO_SEEDS: Seeds = {
  first: [],
  range: { from: 1, to: 0, step: 1 },
  until: Number.MAX_SAFE_INTEGER,
  stopAtViolation: false,
  events: 0,
};

/** @param root of the project whose simulator plays: this one's, or a copy's */
const inChild = (
  order: Order,
  told: (message: Message) => void,
  root = path.resolve(import.meta.dirname, '../..'),
): Promise<void> =>
  new Promise((resolve, reject) => {
    const simulator = path.join(root, 'tests/sim');
    const doubles = pathToFileURL(path.join(simulator, 'doubles/register.ts')).href;
    const child = fork(path.join(simulator, 'child.ts'), { serialization: 'advanced', execArgv: ['--import', doubles] });
    child.on('message', (message) => {
      const said = message as Message;
      if ('failed' in said) reject(new Error(said.failed));
      else told(said);
    });
    // Its end may be heard of before its last words are: those have come when the channel closes.
    void Promise.all([once(child, 'exit'), once(child, 'disconnect')]).then(([[code]]) =>
      code === 0 ? resolve() : reject(new Error(`a simulation process ended with ${code}`)),
    );
    const { url, socketDir, appPassword } = order.server; // of one that can be stopped, the rest does not travel
    child.send({ ...order, server: { url, socketDir, appPassword } } satisfies Order);
  });

/** Plays seeds; `told` hears of each when it is over. */
export const playSeeds = (
  server: Server,
  seeds: Partial<Seeds>,
  told: (outcome: Outcome) => void,
  { schema, root }: { schema?: string | undefined; root?: string | undefined } = {},
): Promise<void> =>
  inChild(
    { server, schema, work: { ...NO_SEEDS, ...seeds } },
    (message) => {
      if ('outcome' in message) told(message.outcome);
    },
    root,
  );

/** Plays the seeds of a range on so many processes. */
export const playOnCores = async (
  server: Server,
  { from, to, until = NO_SEEDS.until }: { from: number; to: number; until?: number },
  processes: number,
  told: (outcome: Outcome) => void = () => undefined,
): Promise<Outcome[]> => {
  const outcomes: Outcome[] = [];
  const hear = (outcome: Outcome): void => {
    outcomes.push(outcome);
    told(outcome);
  };
  const parts = Array.from({ length: processes }, (_, i) => ({ range: { from: from + i, to, step: processes }, until }));
  await Promise.all(parts.map((part) => playSeeds(server, part, hear)));
  return outcomes.toSorted((a, b) => a.seed - b.seed);
};

/** Plays tenants, once for each company. */
export const playCompanies = async (server: Server, tenants: Tenants): Promise<TenantsPlayed[]> => {
  const played: TenantsPlayed[] = [];
  await inChild({ server, work: tenants }, (message) => {
    if ('tenants' in message) played.push(message.tenants);
  });
  return played;
};
