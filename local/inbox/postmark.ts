/**
 * What Postmark takes and what it refuses, as far as a single send goes. Pure.
 * Codes: https://postmarkapp.com/developer/api/overview#error-codes
 */
import { isRecord } from '../edge-server.ts';

export interface Attachment {
  Name: string;
  ContentType: string;
  /** base64. */
  Content: string;
}

/** A mail as the send API received it. */
export interface Received {
  To: string;
  From: string;
  Subject: string;
  HtmlBody: string;
  TextBody: string;
  Metadata: Readonly<Record<string, string>>;
  Headers: readonly { Name: string; Value: string }[];
  Attachments: readonly Attachment[];
}

export interface Address {
  Email: string;
  Name: string;
}

/** A mail that can be sent, with every recipient of To, Cc and Bcc. */
export interface Parsed {
  received: Received;
  to: readonly Address[];
  cc: readonly Address[];
  bcc: readonly Address[];
}

/** An answer of Postmark's that says no. */
export class PostmarkRefusal extends Error {
  override name = 'PostmarkRefusal';
  readonly status: number;
  readonly code: number;
  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const invalid = (message: string): PostmarkRefusal => new PostmarkRefusal(422, 300, message);
const incompatible = (message: string): PostmarkRefusal => new PostmarkRefusal(422, 403, message);

/** Bytes of bodies and attachments (after base64) together. */
export const MESSAGE_LIMIT = 10_000_000;
const MAX_RECIPIENTS = 50;
const MAX_SUBJECT = 2_000;
const METADATA = { fields: 10, name: 20, value: 80 } as const;

const MAILBOX = /^[a-z0-9.!#$%&'`*+\-/=^_{}|~]+$/i;
const DOMAIN = /^(\.?[a-z0-9-])+$/i;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const FORBIDDEN =
  /\.(vbs|exe|bin|bat|chm|com|cpl|crt|hlp|hta|inf|ins|isp|jse?|lnk|mdb|pcd|pif|reg|scr|sct|shs|vbe?|vba|wsf|wsh|wsl|msc|msi|msp|mst)$/i;
const CONTROL = /\p{Cc}/u;

const isEmail = (email: string): boolean => {
  const at = email.lastIndexOf('@');
  const mailbox = email.slice(0, at);
  if (at < 1 || /^\.|\.$|\.\./.test(mailbox)) return false;
  return MAILBOX.test(mailbox) && DOMAIN.test(email.slice(at + 1));
};

/** Splits at the commas that stand outside quotes. */
const split = (list: string): string[] => list.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g)?.map((part) => part.trim()) ?? [];

const parseAddress = (field: string, written: string): Address => {
  const named = /^(?:"((?:[^"\\]|\\.)*)"|([^"<>(),:;@[\]\\]*?))\s*<([^<>]*)>$/.exec(written);
  const Email = named?.[3] ?? written;
  if (!Email.includes('@')) {
    throw invalid(`Error parsing '${field}': Illegal email address '${written}'. It must contain the '@' symbol.`);
  }
  if (!isEmail(Email) || CONTROL.test(written)) throw invalid(`Error parsing '${field}': Illegal email address '${written}'.`);
  return { Email, Name: (named?.[1] ?? named?.[2] ?? '').replace(/\\(.)/g, '$1').trim() };
};

const parseList = (field: string, value: unknown): Address[] => {
  if (value === undefined || value === null || value === '') return [];
  if (typeof value !== 'string') throw incompatible(`'${field}' must be a string.`);
  return split(value)
    .filter((part) => part !== '')
    .map((part) => parseAddress(field, part));
};

const textOf = (body: Readonly<Record<string, unknown>>, field: string): string => {
  const value = body[field] ?? '';
  if (typeof value !== 'string') throw incompatible(`'${field}' must be a string.`);
  return value;
};

const metadataOf = (value: unknown): Readonly<Record<string, string>> => {
  if (value === undefined || value === null) return {};
  if (!isRecord(value)) throw incompatible("'Metadata' must be an object of strings.");
  const entries = Object.entries(value);
  if (entries.length > METADATA.fields) throw invalid(`Metadata may hold at most ${METADATA.fields} fields.`);
  return Object.fromEntries(
    entries.map(([name, text]) => {
      if (typeof text !== 'string') throw incompatible(`Metadata value of '${name}' must be a string.`);
      if (name === '' || name.length > METADATA.name) {
        throw invalid(`Metadata field names are 1 to ${METADATA.name} characters long; '${name}' is not.`);
      }
      if (text.length > METADATA.value) throw invalid(`Metadata value of '${name}' is longer than ${METADATA.value} characters.`);
      return [name, text];
    }),
  );
};

const headersOf = (value: unknown): Received['Headers'] => {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw incompatible("'Headers' must be a list.");
  return value.map((header: unknown) => {
    const { Name, Value } = isRecord(header) ? header : {};
    if (typeof Name !== 'string' || typeof Value !== 'string') throw incompatible("A header needs 'Name' and 'Value'.");
    if (CONTROL.test(Name) || CONTROL.test(Value)) throw invalid(`Header '${Name}' holds a control character.`);
    return { Name, Value };
  });
};

const attachmentsOf = (value: unknown): readonly Attachment[] => {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw incompatible("'Attachments' must be a list.");
  return value.map((attachment: unknown) => {
    const { Name, ContentType, Content } = isRecord(attachment) ? attachment : {};
    if (typeof Name !== 'string' || Name === '') throw invalid("An attachment needs a 'Name'.");
    if (typeof ContentType !== 'string' || ContentType === '') throw invalid(`Attachment '${Name}' needs a 'ContentType'.`);
    if (typeof Content !== 'string' || Content.length % 4 !== 0 || !BASE64.test(Content))
      throw invalid(`Attachment '${Name}' is not base64.`);
    if (FORBIDDEN.test(Name)) throw new PostmarkRefusal(422, 411, `Attachment '${Name}' is of a forbidden type.`);
    return { Name, ContentType, Content };
  });
};

/**
 * Checks the body of `POST /email`.
 * @throws {PostmarkRefusal} as Postmark would refuse it
 */
export const parseMail = (body: unknown): Parsed => {
  if (!isRecord(body)) throw new PostmarkRefusal(422, 402, 'The body is no JSON object.');
  const received: Received = {
    To: textOf(body, 'To'),
    From: textOf(body, 'From'),
    Subject: textOf(body, 'Subject'),
    HtmlBody: textOf(body, 'HtmlBody'),
    TextBody: textOf(body, 'TextBody'),
    Metadata: metadataOf(body['Metadata']),
    Headers: headersOf(body['Headers']),
    Attachments: attachmentsOf(body['Attachments']),
  };
  if (received.From === '') throw invalid("Invalid 'From' address: it is empty.");
  if (parseList('From', received.From).length !== 1) throw invalid("Invalid 'From' address: exactly one is needed.");
  const [to, cc, bcc] = ['To', 'Cc', 'Bcc'].map((field) => parseList(field, body[field]));
  if (to.length === 0) throw invalid('Zero recipients specified.');
  if (to.length + cc.length + bcc.length > MAX_RECIPIENTS)
    throw invalid(`Maximum of ${MAX_RECIPIENTS} recipients allowed per email message.`);
  if (received.Subject.length > MAX_SUBJECT) throw invalid(`Subject is longer than ${MAX_SUBJECT} characters.`);
  if (CONTROL.test(received.Subject)) throw invalid('Subject holds a control character.');
  if (received.HtmlBody === '' && received.TextBody === '') throw invalid('Provide either email TextBody or HtmlBody or both.');
  const parts = [received.HtmlBody, received.TextBody, ...received.Attachments.map(({ Content }) => Content)];
  const size = parts.reduce((sum, part) => sum + new TextEncoder().encode(part).length, 0);
  if (size > MESSAGE_LIMIT) throw new PostmarkRefusal(413, 300, `The message is larger than ${MESSAGE_LIMIT} bytes.`);
  return { received, to, cc, bcc };
};
