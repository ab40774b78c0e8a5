/**
 * The mail provider: one request per mail, never repeated here, every answer put into one of four words.
 *
 * Postmark has no idempotency key, so a lost answer stays lost until the mail is looked up by the notification id in its metadata
 * (searchable for 45 days). Codes: https://postmarkapp.com/developer/api/overview#error-codes
 */
import { Errors, Models, ServerClient } from 'postmark';
import * as z from 'zod';
import type { Config } from './env.ts';

export interface Mail {
  to: string;
  subject: string;
  html: string;
  text: string;
  attachments: readonly { name: string; contentType: string; base64: string }[];
  /** Where a mail program may send a one-click unsubscription (RFC 8058). */
  unsubscribeUrl?: string;
  /** At most 10 fields; names up to 20, values up to 80 characters. */
  metadata: Readonly<Record<string, string>>;
}
/**
 * How a send ended. `refused` is definite, `later` transient (429, 500, 503), `unknown` may have been sent. A reason is made of
 * codes and our own words: it never repeats an address or anything else of the mail.
 */
export type MailResult =
  | { outcome: 'sent'; messageId: string }
  | { outcome: 'refused'; reason: string }
  | { outcome: 'later'; reason: string }
  | { outcome: 'unknown'; reason: string };
export interface Mailer {
  /** Hands one mail to the mail provider, once. Never throws. */
  send(mail: Mail): Promise<MailResult>;
  /** Looks up a mail by the notification id in its metadata. Null: not found; throws when it could not be asked. */
  find(notificationId: string): Promise<{ messageId: string } | null>;
}

/** The most one message may weigh at Postmark, bodies and attachments after base64 together, in bytes. */
export const MESSAGE_LIMIT = 10_000_000;
/** Seconds until an answer counts as lost. */
const TIMEOUT_SECONDS = 10;

const REFUSALS: Readonly<Record<number, string>> = {
  10: 'the mail provider does not accept POSTMARK_SERVER_TOKEN',
  300: 'the mail provider calls the request invalid; most often an address is malformed',
  400: 'MAIL_FROM is no sender signature of the mail account',
  401: 'the sender signature of MAIL_FROM is not confirmed',
  405: 'the mail account may not send: out of credits',
  406: 'the recipient is inactive: an earlier mail bounced or was marked as spam',
  411: 'the mail provider forbids the type of the attachment',
  412: 'the mail account is pending approval and may only write to its own domain',
  413: 'the mail account may not send',
};
/** One plain address: nothing that could name a second recipient or start another header. */
const ONE_ADDRESS = /^[^\s,;:<>()"]+@[^\s,;:<>()"]+$/;
const CONTROL = /[\p{Cc}\u2028\u2029]+/gu;

const Accepted = z.object({ MessageID: z.string().min(1), ErrorCode: z.literal(0) });
const Found = z.object({
  Messages: z.array(z.object({ MessageID: z.string().min(1), Metadata: z.record(z.string(), z.string()).nullish() })),
});

/** What a failed request says. Only an HTTP status is an answer; everything else (reset, hang, time-out) is a lost one. */
const failed = (error: unknown): Exclude<MailResult, { outcome: 'sent' }> => {
  const { statusCode: status, code } = error instanceof Errors.PostmarkError ? error : { statusCode: 0, code: 0 };
  const named = REFUSALS[code];
  if (status === 429 || status === 500 || status === 503) {
    return { outcome: 'later', reason: `the mail provider answered ${status}` };
  }
  if (status >= 300 && status < 500 && status !== 408) {
    const answer = code > 0 ? `${status}, code ${code}` : String(status);
    return { outcome: 'refused', reason: named ? `${named} (${answer})` : `the mail provider answered ${answer}` };
  }
  // Another 5xx speaks for a gateway in between: the mail may have got through behind it.
  const what = status > 0 ? `a gateway answered ${status}` : 'the answer of the mail provider was lost';
  return { outcome: 'unknown', reason: `${what}; the mail may have been sent` };
};

const unsubscribing = (url: string | undefined): Models.Header[] =>
  url === undefined
    ? []
    : [
        new Models.Header('List-Unsubscribe', `<${url}>`),
        new Models.Header('List-Unsubscribe-Post', 'List-Unsubscribe=One-Click'),
      ];

/**
 * A mailer over the `postmark` package. Asks only the configured host: redirects are not followed.
 *
 * @param timeoutSeconds real seconds until an answer counts as lost
 */
export const createMailer = (
  config: Pick<Config, 'postmarkServerToken' | 'postmarkBaseUrl' | 'mailFrom'>,
  timeoutSeconds = TIMEOUT_SECONDS,
): Mailer => {
  const { protocol, host, pathname } = new URL(config.postmarkBaseUrl);
  const client = new ServerClient(
    config.postmarkServerToken,
    new Models.ClientOptions.Configuration(
      protocol === 'https:',
      `${host}${pathname.replace(/\/+$/, '')}`,
      timeoutSeconds,
      // A followed redirect would send the mail a second time, and the token to somebody else.
      (input, init) => fetch(input, { ...init, redirect: 'manual' }),
    ),
  );

  return {
    async send(mail) {
      if (!ONE_ADDRESS.test(mail.to)) return { outcome: 'refused', reason: 'the recipient is not one plain mail address' };
      try {
        const answer: unknown = await client.sendEmail({
          From: config.mailFrom,
          To: mail.to,
          Subject: mail.subject.replace(CONTROL, ' ').trim(),
          HtmlBody: mail.html,
          TextBody: mail.text,
          Headers: unsubscribing(mail.unsubscribeUrl),
          MessageStream: 'outbound',
          Metadata: { ...mail.metadata },
          TrackOpens: false,
          TrackLinks: Models.LinkTrackingOptions.None,
          Attachments: mail.attachments.map(({ name, contentType, base64 }) => new Models.Attachment(name, base64, contentType)),
        });
        const accepted = Accepted.safeParse(answer);
        if (accepted.success) return { outcome: 'sent', messageId: accepted.data.MessageID };
        return { outcome: 'unknown', reason: 'the mail provider answered without a message id; the mail may have been sent' };
      } catch (error) {
        return failed(error);
      }
    },

    async find(notificationId) {
      let answer: unknown;
      try {
        answer = await client.getOutboundMessages({ count: 50, offset: 0, metadata_notification_id: notificationId });
      } catch (error) {
        const status = error instanceof Errors.PostmarkError ? error.statusCode : 0;
        throw new Error(`the mail provider could not be asked for a mail (status ${status})`, { cause: error });
      }
      const { data } = Found.safeParse(answer);
      if (!data) throw new Error('the mail provider answered a search with something else');
      // Compared again: a filter that is ignored must not make another mail ours.
      const message = data.Messages.find(({ Metadata }) => Metadata?.notification_id === notificationId);
      return message ? { messageId: message.MessageID } : null;
    },
  };
};
