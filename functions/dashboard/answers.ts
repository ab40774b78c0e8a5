/** How a page travels: status, media type, and a content policy that lets in nothing but our own script and style. */
import { toHex } from '../../lib/domain/bytes.ts';
import type { Html } from './words.ts';

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Same-origin, not no-referrer: with that browsers hide the origin of our own forms too, and the forgery check needs it. */
const HEADERS = { 'content-security-policy': POLICY, 'referrer-policy': 'same-origin', 'cache-control': 'no-store' };

/** `headers` may carry a `Set-Cookie`. */
export const pageAnswer = async (status: number, html: Html, headers: Record<string, string> = {}): Promise<Response> =>
  new Response(String(await html), {
    status,
    headers: { 'content-type': 'text/html; charset=utf-8', ...HEADERS, ...headers },
  });

/** The same, unless the browser has it already: then 304 and no body. */
export const fragmentAnswer = async (request: Request, html: Html): Promise<Response> => {
  const text = String(await html);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  const etag = `"${toHex(digest.slice(0, 12))}"`;
  // A proxy that compresses makes the tag weak; it still names the same text.
  const seen = request.headers.get('if-none-match')?.replace(/^W\//, '') === etag;
  return new Response(seen ? null : text, {
    status: seen ? 304 : 200,
    headers: { 'content-type': 'text/html; charset=utf-8', ...HEADERS, etag },
  });
};

/** After a form did its work: the browser asks for the page that shows it. */
export const seeOther = (path: string, headers: Record<string, string> = {}): Response =>
  new Response(null, { status: 303, headers: { location: path, ...HEADERS, ...headers } });
