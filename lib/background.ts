/** Work that goes on after the answer has gone. */
import type { Report, ReportContext } from './deps.ts';
import type { ErrorType } from './errors.ts';

/** What of an invocation background work needs. */
export interface BackgroundInvocation {
  report: Report;
  ctx: { waitUntil(promise: Promise<unknown>): void };
}

/**
 * Runs `work` in `waitUntil` and reports whatever it throws, so that no background failure is ever silent.
 * @param name says in reports which work it was
 * @param type what its failure is called; mails have names of their own
 */
export const runInBackground = (
  { ctx, report }: BackgroundInvocation,
  name: string,
  work: () => Promise<void>,
  type: ErrorType = 'background_task_failed',
  context: ReportContext = {},
): void => {
  const run = async (): Promise<void> => {
    try {
      await work();
    } catch (error) {
      report(type, error, { ...context, task: name });
    }
  };
  ctx.waitUntil(run());
};
