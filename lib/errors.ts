/** Every error that leaves the house is one of these; `functions/respond.ts` alone turns them into HTTP. */

export type ErrorType =
  | 'database_connection_error'
  | 'database_query_error'
  | 'database_transaction_error'
  | 'campaign_summary_email_failed'
  | 'campaign_summary_generation_failed'
  | 'notification_email_failed'
  | 'background_task_failed'
  | 'webhook_processing_failed'
  | 'provider_api_failure'
  | 'call_dispatch_failed'
  | 'configuration_invalid'
  | 'unhandled_error';

export interface Detail {
  field: string;
  rule: string;
}

/** A request that cannot be served as asked: a 4xx with a code, a sentence, and the fields at fault. `extra` joins the body beside `error`. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly status: 400 | 401 | 404 | 409 | 413 | 415 | 422;
  readonly code: string;
  readonly details: readonly Detail[];
  readonly extra: Readonly<Record<string, unknown>>;
  constructor(
    status: Refusal['status'],
    code: string,
    message: string,
    details: readonly Detail[] = [],
    extra: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.extra = extra;
  }
}

/** One and the same for what is not there and for what is another account's. */
export const notFound = (): Refusal => new Refusal(404, 'not_found', 'There is nothing here.');

/** Configuration that does not parse: every path answers 503 `misconfigured` with this message. */
export class Misconfigured extends Error {
  override name = 'Misconfigured';
}

/** What is known of a statement that did not end well. `not_applied`: it never ran; `rejected`: the server said no; `unknown`: it may have committed. */
export type Outcome = 'not_applied' | 'unknown' | 'rejected';

/** Where and how a database call failed. */
export interface DbFailure {
  /** SQLSTATE, when the server gave one. */
  code: string | undefined;
  phase: 'connect' | 'sent';
  outcome: Outcome;
  /** The verb that was asked, by name. */
  verb: string | undefined;
  errorType: 'database_connection_error' | 'database_query_error' | 'database_transaction_error';
}

/** What `lib/db.ts` throws when a statement fails, save for a misconfigured role. Never carries the driver's object (it holds the password) nor a value. */
export class DbError extends Error {
  override name = 'DbError';
  readonly failure: DbFailure;
  constructor(message: string, failure: DbFailure) {
    super(message);
    this.failure = failure;
  }
}
