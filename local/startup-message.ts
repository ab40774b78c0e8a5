/** The first bytes a Postgres client sends, and the answer a pooler gives when it does not like them. */

const PROTOCOL_3 = 196_608;

/** What Neon's pooler lets a client ask for at startup; anything else must be set by `ALTER ROLE … SET`. */
export const POOLER_ALLOWS: ReadonlySet<string> = new Set(['user', 'database', 'application_name', 'client_encoding']);

export type Startup =
  | { kind: 'incomplete' }
  /** A cancel or encryption request: no parameters. */
  | { kind: 'other' }
  | { kind: 'startup'; parameters: Readonly<Record<string, string>> };

/** Reads a startup packet from the beginning of `bytes`. */
export const readStartup = (bytes: Buffer): Startup => {
  if (bytes.length < 8) return { kind: 'incomplete' };
  const length = bytes.readInt32BE(0);
  if (bytes.length < length) return { kind: 'incomplete' };
  if (bytes.readInt32BE(4) !== PROTOCOL_3) return { kind: 'other' };
  const words = bytes.toString('utf8', 8, length).split('\0');
  const parameters: Record<string, string> = {};
  for (let i = 0; words[i]; i += 2) parameters[words[i]] = words[i + 1] ?? '';
  return { kind: 'startup', parameters };
};

/** A FATAL ErrorResponse, as a server or pooler sends it before hanging up. */
export const fatal = (code: string, message: string): Buffer => {
  const body = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
