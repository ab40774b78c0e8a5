/**
 * The inbox: speaks Postmark's send and search API and keeps what it was sent. `GET /messages` shows all of it; pages at `/` and
 * `/messages/{MessageID}` show it to people.
 *
 * The recipient decides what the sender sees (the part before `@`, up to a `+`):
 * - `inactive@`: 406, a refusal for good
 * - `limit@`, `down@`: 429 or 500 at the first two sends of that mail (its `notification_id`, else its subject), then accepted
 * - `lost@`: accepted, never answered
 * - `drop@`: neither accepted nor answered
 * - `html@`: 200 with HTML, as a proxy in between would; not accepted
 *
 * Any token is accepted but `bad-…`.
 */
import { Buffer } from 'node:buffer';
import type { Clock } from './clock.ts';
import { html, json, parseJson, serve } from './edge-server.ts';
import type { Answer, Edge, EdgeRequest, Reply } from './edge-server.ts';
import { MAIL_CSP, PAGE_CSP, listPage, mailHtml, mailPage } from './inbox/page.ts';
import { MESSAGE_LIMIT, PostmarkRefusal, parseMail } from './inbox/postmark.ts';
import type { Parsed } from './inbox/postmark.ts';
import { createStore } from './inbox/store.ts';
import type { Entry, Store, Stored } from './inbox/store.ts';
import { forgetful, type Journal } from './journal.ts';

export interface InboxOptions {
  clock: Pick<Clock, 'now'>;
  /** 0, the default, takes a free one. */
  port?: number;
  /** Where mails are kept from one start to the next; without it they are not. */
  journal?: Journal<Entry>;
}

/** Times that `limit@` and `down@` say no to a mail. */
const REFUSALS = 2;
const MAX_COUNT = 500;

const refuse = ({ status, code, message }: PostmarkRefusal): Answer => json(status, { ErrorCode: code, Message: message });

const authorize = ({ headers }: EdgeRequest): void => {
  const token = headers['x-postmark-server-token'];
  if (typeof token !== 'string' || token.trim() === '') {
    throw new PostmarkRefusal(401, 10, 'No Account or Server API tokens were supplied in the HTTP headers.');
  }
  if (token.startsWith('bad-')) throw new PostmarkRefusal(401, 10, 'The Server Token you provided is invalid.');
};

/** The first special recipient of a mail. */
const specialOf = ({ to, cc, bcc }: Parsed): { kind: string; address: string } | undefined => {
  for (const { Email } of [...to, ...cc, ...bcc]) {
    const kind = /^(inactive|limit|down|lost|drop|html)(\+[^@]*)?@/i.exec(Email)?.[1];
    if (kind !== undefined) return { kind: kind.toLowerCase(), address: Email };
  }
  return undefined;
};

const sender = (store: Store) => {
  const refused = new Map<string, number>();

  /** Counts one more refusal of this mail; false once it has had its share. */
  const refusesAgain = (address: string, { received: { Metadata, Subject } }: Parsed): boolean => {
    const mail = JSON.stringify([address, Metadata['notification_id'] ?? Subject]);
    const times = refused.get(mail) ?? 0;
    refused.set(mail, times + 1);
    return times < REFUSALS;
  };

  return (request: EdgeRequest): Reply => {
    authorize(request);
    if (request.tooLarge) throw new PostmarkRefusal(413, 300, `The message is larger than ${MESSAGE_LIMIT} bytes.`);
    const mail = parseMail(parseJson(request.body));
    const special = specialOf(mail);
    const address = special?.address ?? '';
    switch (special?.kind) {
      case 'inactive':
        throw new PostmarkRefusal(
          422,
          406,
          `You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: ${address}. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.`,
        );
      case 'limit':
        if (refusesAgain(address, mail)) throw new PostmarkRefusal(429, 429, 'Rate limit exceeded.');
        break;
      case 'down':
        if (refusesAgain(address, mail)) throw new PostmarkRefusal(500, 0, 'Internal Server Error');
        break;
      case 'html':
        return html(200, '<!doctype html><title>Welcome</title><p>Please sign in to the network.</p>');
      case 'drop':
        return 'silence';
      case 'lost':
        store.add(mail);
        return 'silence';
      default:
    }
    const { MessageID, ReceivedAt, To } = store.add(mail);
    return json(200, { To, SubmittedAt: ReceivedAt, MessageID, ErrorCode: 0, Message: 'OK' });
  };
};

const wholeNumber = (query: URLSearchParams, name: string): number => {
  const value = query.get(name);
  if (value === null || !/^\d+$/.test(value))
    throw new PostmarkRefusal(422, 300, `'${name}' is required and must be a whole number.`);
  return Number(value);
};

const search = (store: Store, request: EdgeRequest): Answer => {
  authorize(request);
  const { query } = request;
  const count = wholeNumber(query, 'count');
  const offset = wholeNumber(query, 'offset');
  if (count > MAX_COUNT) throw new PostmarkRefusal(422, 300, `'count' may be at most ${MAX_COUNT}.`);
  const metadata = new Map([...query].flatMap(([name, value]) => (name.startsWith('metadata_') ? [[name.slice(9), value]] : [])));
  if (metadata.size > 1) throw new PostmarkRefusal(422, 300, 'Messages can be searched by one metadata field.');
  return json(200, store.search({ metadata, recipient: query.get('recipient'), subject: query.get('subject'), count, offset }));
};

const attachment = (mail: Stored, index: number): Answer | undefined => {
  const file = mail.Attachments[index];
  if (file === undefined) return undefined;
  return {
    status: 200,
    headers: {
      'content-type': /^[\w.+-]+\/[\w.+-]+(; ?[\w-]+=[\w."-]+)*$/.test(file.ContentType)
        ? file.ContentType
        : 'application/octet-stream',
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(file.Name)}`,
      'x-content-type-options': 'nosniff',
    },
    body: Buffer.from(file.Content, 'base64'),
  };
};

const show = (store: Store, path: string, query: URLSearchParams): Answer | undefined => {
  const [, id = '', part, index] = /^\/messages\/([\w-]+)(?:\/(html|attachments)(?:\/(\d+))?)?$/.exec(path) ?? [];
  const mail = store.find(id);
  if (mail === undefined) return undefined;
  if (part === 'html') return html(200, mailHtml(mail), { 'content-security-policy': MAIL_CSP });
  if (part === 'attachments') return attachment(mail, Number(index));
  const view = query.get('view') === 'text' || mail.HtmlBody === '' ? 'text' : 'html';
  return html(200, mailPage(mail, view), { 'content-security-policy': PAGE_CSP });
};

/** Starts the inbox on loopback. @throws when the port is taken */
export const startInbox = async ({ clock, port = 0, journal = forgetful() }: InboxOptions): Promise<Edge> => {
  const store = createStore(clock, journal);
  const send = sender(store);

  const route = (request: EdgeRequest): Reply => {
    const { method, path, query } = request;
    switch (`${method} ${path}`) {
      case 'POST /email':
        return send(request);
      case 'GET /messages/outbound':
        return search(store, request);
      case 'GET /server':
        authorize(request);
        return json(200, { ID: 1, Name: 'Inbox', DeliveryType: 'Live' });
      case 'GET /webhooks':
        authorize(request);
        return json(200, { Webhooks: [] });
      case 'GET /messages':
        return json(200, store.all());
      case 'GET /':
        return html(200, listPage(store.all()), { 'content-security-policy': PAGE_CSP });
      default: {
        const page = method === 'GET' ? show(store, path, query) : undefined;
        if (page === undefined) throw new PostmarkRefusal(404, 0, 'The requested resource does not exist.');
        return page;
      }
    }
  };

  // The JSON around a message of the largest size adds names and escapes.
  return serve({ port, maxBody: MESSAGE_LIMIT * 2 }, (request) => {
    try {
      return route(request);
    } catch (error) {
      if (error instanceof PostmarkRefusal) return refuse(error);
      throw error;
    }
  });
};
