/** Seeds played in processes of their own: a core each, or over a copy of the source with a bug planted in it. */
import { fork } from 'node:child_process';
import path from 'node:path';
import type { Server } from './server.ts';
import type { Outcome } from './simulate.ts';

export interface Range {
  from: number;
  /** Included. */
  to: number;
  step: number;
}
/** What a child process is sent. */
export interface Order {
  server: Server;
  /** Played before those of the range. */
  first: readonly number[];
  range: Range;
  /** Real instant (ms) after which no further seed begins. */
  until: number;
  /** The first seed with a violation is the last. */
  stopAtViolation: boolean;
}
export type Message = { outcome: Outcome } | { failed: string };

/** @param root of the project whose simulator plays: this one's, or a copy's */
export const inChild = (
  order: Order,
  told: (outcome: Outcome) => void,
  root = path.resolve(import.meta.dirname, '../..'),
): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = fork(path.join(root, 'tests/sim/child.ts'), { serialization: 'json', execArgv: [] });
    child.on('message', (message) => {
      const said = message as Message;
      if ('outcome' in said) told(said.outcome);
      else reject(new Error(said.failed));
    });
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a simulation process ended with ${code}`))));
    child.send(order);
  });
