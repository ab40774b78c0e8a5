/**
 * Reports to Sentry: the only file that knows its package, so that another can take its place by changing this file alone.
 *
 * The package was written for Node and keeps its state in globals that outlive a request, which mixes concurrent requests and
 * breaks later ones in Workers. So nothing global is used: a client per invocation, no integrations, every event whole when it is
 * handed over, and a transport that is one `fetch` kept alive by `waitUntil`.
 */
import { defaultStackParser, NodeClient, Scope } from '@sentry/serverless';
import { serializeEnvelope } from '@sentry/utils';
import type { Report, ReportContext } from './deps.ts';
import type { ErrorType } from './errors.ts';
import { errorName, log as platformLog, safeFields, safeMessage, type Log } from './log.ts';

export interface ReporterOptions {
  /** Without one, reports go to the log only. */
  dsn: string | undefined;
  ctx: { waitUntil(promise: Promise<unknown>): void };
  /** A UUID of the request or cron: the tag `request_id` of its reports, by which an answer finds them. */
  requestId?: string;
  log?: Log;
}

type ClientOptions = ConstructorParameters<typeof NodeClient>[0];
type Transport = ReturnType<ClientOptions['transport']>;
type Event = Parameters<NodeClient['captureEvent']>[0];
type Frames = ReturnType<typeof defaultStackParser>;

/** Warnings; every other type is an error. */
const WARNINGS: ReadonlySet<ErrorType> = new Set([
  'campaign_summary_email_failed',
  'campaign_summary_generation_failed',
  'notification_email_failed',
  'background_task_failed',
]);
/** Of the 30 s that the platform gives after an answer. */
const TIMEOUT_MS = 10_000;
/** Each costs a subrequest. What an invocation has to say beyond them stays in the log. */
const MOST_PER_INVOCATION = 20;

const isTermination = (type: ErrorType, context: ReportContext): boolean =>
  type === 'database_connection_error' && context['connection_terminated'] === true;

/** What of the context is a tag as well: Sentry searches tags alone. */
const SEARCHED = ['verb', 'outcome', 'request_id'] as const;

/** Only database connections can be terminated, so only their reports say whether it was that. */
const tagsOf = (type: ErrorType, context: ReportContext): NonNullable<Event['tags']> => {
  const safe = safeFields(context);
  const searched = SEARCHED.filter((name) => safe[name] !== undefined).map((name) => [name, safe[name]]);
  const terminated = type === 'database_connection_error' ? { connection_terminated: isTermination(type, context) } : {};
  return { error_type: type, ...terminated, ...Object.fromEntries(searched) };
};

/** Where it happened: functions and lines, without the message that a stack begins with and without paths. */
const framesOf = (error: unknown): Frames => {
  if (!(error instanceof Error) || !error.stack) return [];
  const start = error.stack.indexOf(
    '\n    at ',
    error.message === '' ? 0 : error.stack.indexOf(error.message) + error.message.length,
  );
  if (start === -1) return [];
  return defaultStackParser(error.stack.slice(start)).map((frame) => ({
    ...(frame.function && /^[\w.<>#$ [\]]{1,100}$/.test(frame.function) ? { function: frame.function } : {}),
    ...(frame.filename ? { filename: frame.filename.split('/').at(-1) ?? '' } : {}),
    ...(frame.lineno === undefined ? {} : { lineno: frame.lineno }),
    ...(frame.colno === undefined ? {} : { colno: frame.colno }),
    in_app: frame.in_app ?? true,
  }));
};

const eventOf = (type: ErrorType, error: unknown, context: ReportContext, requestId: string | undefined): Event => {
  const safe = safeFields(context);
  const frames = framesOf(error);
  return {
    level: WARNINGS.has(type) || isTermination(type, context) ? 'warning' : 'error',
    tags: tagsOf(type, { ...context, request_id: requestId }),
    contexts: { report: safe },
    fingerprint: ['{{ default }}', type, String(safe['verb'] ?? safe['task'] ?? safe['route'] ?? '')],
    exception: {
      values: [
        {
          type: errorName(error),
          value: safeMessage(error) ?? `${type} (the message is withheld: it may quote personal data)`,
          ...(frames.length > 0 ? { stacktrace: { frames } } : {}),
        },
      ],
    },
  };
};

/** Sends envelopes with `fetch`; the invocation stays alive until they are delivered. */
const transportTo = (url: string, { ctx, log = platformLog }: ReporterOptions): Transport => {
  const deliver = async (envelope: Parameters<Transport['send']>[0]): Promise<{ statusCode?: number }> => {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/x-sentry-envelope' },
        // Typed for either kind of runtime: what it makes is text or bytes.
        body: serializeEnvelope(envelope) as string,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      await response.body?.cancel();
      if (!response.ok) log('warning', 'report_not_delivered', { status: response.status });
      return { statusCode: response.status };
    } catch (error) {
      log('warning', 'report_not_delivered', {}, error);
      return {};
    }
  };
  return {
    flush: () => Promise.resolve(true),
    send(envelope) {
      const delivered = deliver(envelope);
      ctx.waitUntil(delivered);
      return delivered;
    },
  };
};

const createClient = (dsn: string, options: ReporterOptions): NodeClient =>
  new NodeClient({
    dsn,
    serverName: 'worker',
    integrations: [],
    stackParser: defaultStackParser,
    autoSessionTracking: false,
    sendClientReports: false,
    transport: ({ url }) => transportTo(url, options),
  });

/**
 * The reports of one invocation: each goes to the log and, with a DSN, to Sentry, where it arrives although the response has gone.
 * Values that may be personal never leave; see `lib/log.ts` for what passes. Never throws.
 */
export const createReporter = (options: ReporterOptions): Report => {
  const { dsn, requestId, log = platformLog } = options;
  let client: NodeClient | undefined;
  let sent = 0;
  return (type, error, context = {}) => {
    const event = eventOf(type, error, context, requestId);
    log(event.level === 'warning' ? 'warning' : 'error', 'report', { ...context, ...event.tags }, error);
    if (dsn === undefined) return;
    if (++sent > MOST_PER_INVOCATION) return log('warning', 'report_not_delivered', { error_type: type, count: sent });
    client ??= createClient(dsn, options);
    client.captureEvent(event, {}, new Scope());
  };
};
