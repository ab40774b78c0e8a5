/** POST /webhooks/mail/postmark — bounces and complaints. HTTP Basic, whose password is `POSTMARK_WEBHOOK_SECRET`. */
import * as z from 'zod';
import { sameSecret } from '../lib/auth.ts';
import { compose, type Invocation } from '../lib/compose.ts';
import { withDb } from '../lib/db.ts';
import { storable } from '../lib/domain/storable.ts';
import { badBody, lenient, readJson } from '../lib/providers/body.ts';
import { readWebhook } from './input.ts';
import { errorToResponse, unauthorized } from './respond.ts';
import type { PlainRoute } from './route.ts';

/**
 * Postmark's bounce and spam-complaint webhooks (https://postmarkapp.com/developer/webhooks/bounce-webhook). The rest of the body is not
 * ours: it may quote a whole mail, with whatever characters stood in it. A field of an unexpected type says nothing.
 */
const Body = z.object({
  RecordType: z.string(),
  Type: lenient(z.string().max(100)),
  Email: lenient(z.string()),
  Metadata: lenient(z.object({ notification_id: lenient(z.uuid()) })),
});

/** What Postmark calls a bounce although the mail arrived, or may still: https://postmarkapp.com/developer/api/bounce-api#bounce-types */
const NO_FAILURE: ReadonlySet<string> = new Set([
  'AddressChange',
  'AutoResponder',
  'ChallengeVerification',
  'OpenRelayTest',
  'Subscribe',
  'Transient',
  'Unsubscribe',
]);

/** The password of `Basic …`; undefined when there is none. */
const passwordOf = (headers: Headers): string | undefined => {
  const [, encoded] = /^Basic ([A-Za-z0-9+/=]{1,1000})$/i.exec(headers.get('authorization') ?? '') ?? [];
  if (encoded === undefined) return undefined;
  try {
    return atob(encoded).replace(/^[^:]*:/, '');
  } catch {
    return undefined;
  }
};

const onMailEvent = async (invocation: Invocation, request: Request): Promise<Response> => {
  const { config } = invocation;
  const password = passwordOf(request.headers);
  if (config.postmarkWebhookSecret === undefined || password === undefined) throw unauthorized();
  if (!(await sameSecret(password, config.postmarkWebhookSecret))) throw unauthorized();
  const { success, data: body } = Body.safeParse(readJson(await readWebhook(request)));
  if (!success) throw badBody('must be JSON with a RecordType');
  const id = body.Metadata?.notification_id;
  const bounced = body.RecordType === 'Bounce' && !NO_FAILURE.has(body.Type ?? '');
  const told = bounced || body.RecordType === 'SpamComplaint';
  if (!told || !id || !body.Email) return Response.json({ received: true, noted: false });
  const problem = bounced ? `bounced: ${storable(body.Type || 'unknown')}` : 'complained of as spam';
  const email = storable(body.Email);
  const noted = await withDb(invocation, (db) => {
    const deps = compose(invocation, db);
    return deps.verbs.noteBounce(deps.now(), id, email, problem);
  });
  return Response.json({ received: true, noted });
};

export const mailWebhook: PlainRoute = {
  method: 'POST',
  path: '/webhooks/mail/postmark',
  tag: 'Webhooks',
  summary: 'Bounces and complaints from the mail provider',
  responses: { 200: z.object({ received: z.literal(true), noted: z.boolean() }) },
  refusals: [400, 401, 413, 415],
  plain: async (invocation, request) => {
    try {
      return await onMailEvent(invocation, request);
    } catch (error) {
      return errorToResponse(error, invocation.report);
    }
  },
};
