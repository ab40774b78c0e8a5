/** Work that goes on after the answer has gone. */
import type { Report, ReportContext } from './deps.ts';
import type { ErrorType } from './errors.ts';

/** What of an invocation background work needs. */
export interface BackgroundInvocation {
  report: Report;
  ctx: { waitUntil(promise: Promise<unknown>): void };
}

export interface Background {
  /**
   * Runs `work` in its turn and reports whatever it throws, so that no background failure is ever silent. Work of a name that is
   * still waiting for its turn is not queued twice.
   * @param name says in reports which work it was
   * @param type what its failure is called; mails have names of their own
   */
  run(name: string, work: () => Promise<void>, type?: ErrorType, context?: ReportContext): void;
  /** The answer has gone: the work begins. */
  begin(): void;
}

/**
 * The background work of one invocation: one piece after the other, and none before the answer, so that an invocation never holds
 * more connections at once than the hungriest of its pieces.
 */
export const createBackground = ({ ctx, report }: BackgroundInvocation): Background => {
  const answered = Promise.withResolvers<void>();
  const waiting = new Set<string>();
  let last = answered.promise;
  return {
    run(name, work, type = 'background_task_failed', context = {}) {
      if (waiting.has(name)) return;
      waiting.add(name);
      const before = last;
      const inTurn = async (): Promise<void> => {
        await before;
        waiting.delete(name);
        try {
          await work();
        } catch (error) {
          report(type, error, { ...context, task: name });
        }
      };
      last = inTurn();
      ctx.waitUntil(last);
    },
    begin: () => answered.resolve(),
  };
};
