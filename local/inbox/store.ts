/** The mails that came in, kept in a journal, and Postmark's search over them. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Journal } from '../journal.ts';
import type { Parsed, Received } from './postmark.ts';

export interface Stored extends Received {
  MessageID: string;
  /** ISO 8601 UTC, by the local clock. */
  ReceivedAt: string;
}

/** One mail as the journal keeps it. */
export interface Entry {
  mail: Stored;
  parsed: Parsed;
  /** Milliseconds since 1970, by the local clock. */
  at: number;
}

/** Virtual milliseconds until a mail can be searched for, and for how long it can. */
const INDEXING_MS = 3_000;
const RETENTION_MS = 45 * 24 * 3_600_000;

export interface Query {
  /** Metadata fields that a mail must carry. */
  metadata: ReadonlyMap<string, string>;
  recipient: string | null;
  subject: string | null;
  count: number;
  offset: number;
}

const outbound = ({ mail, parsed }: Entry) => ({
  MessageID: mail.MessageID,
  MessageStream: 'outbound',
  Tag: '',
  To: parsed.to,
  Cc: parsed.cc,
  Bcc: parsed.bcc,
  Recipients: [...parsed.to, ...parsed.cc, ...parsed.bcc].map(({ Email }) => Email),
  ReceivedAt: mail.ReceivedAt,
  From: mail.From,
  Subject: mail.Subject,
  Attachments: mail.Attachments.map(({ Name }) => Name),
  Status: 'Sent',
  TrackOpens: false,
  TrackLinks: 'None',
  Metadata: mail.Metadata,
  Sandboxed: false,
});

export const createStore = (clock: Pick<Clock, 'now'>, journal: Journal<Entry>) => {
  const entries: Entry[] = [...journal.past];

  return {
    add(parsed: Parsed): Stored {
      const now = clock.now();
      const mail: Stored = { MessageID: randomUUID(), ...parsed.received, ReceivedAt: now.toISOString() };
      const entry = { mail, parsed, at: now.getTime() };
      journal.append(entry);
      entries.push(entry);
      return mail;
    },

    /** Every mail, newest first. */
    all: (): Stored[] => entries.map(({ mail }) => mail).toReversed(),
    find: (id: string): Stored | undefined => entries.find(({ mail }) => mail.MessageID === id)?.mail,

    /** Postmark's outbound search: newest first; the latest seconds and what is older than 45 days are not in it. */
    search({ metadata, recipient, subject, count, offset }: Query) {
      const now = clock.now().getTime();
      const found = entries
        .filter(({ at }) => now - at >= INDEXING_MS && now - at <= RETENTION_MS)
        .filter(({ mail }) => [...metadata].every(([name, value]) => mail.Metadata[name] === value))
        .map(outbound)
        .filter(
          (mail) => (recipient === null || mail.Recipients.includes(recipient)) && (subject === null || mail.Subject === subject),
        )
        .toReversed();
      return { TotalCount: found.length, Messages: found.slice(offset, offset + count) };
    },
  };
};

export type Store = ReturnType<typeof createStore>;
