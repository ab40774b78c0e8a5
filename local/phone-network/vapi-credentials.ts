/** The credentials with which Vapi proves its webhooks: a bearer token, or a signature over the body in a form of the user's choice. */
import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';
import * as z from 'zod';

const Header = z.string().regex(/^[\w-]{1,100}$/);
const Bearer = z.strictObject({
  type: z.literal('bearer'),
  token: z.string().min(1),
  headerName: Header.default('authorization'),
  bearerPrefixEnabled: z.boolean().default(true),
});
const Hmac = z.strictObject({
  type: z.literal('hmac'),
  secretKey: z.string().min(1),
  algorithm: z.enum(['sha256', 'sha512', 'sha1']),
  signatureHeader: Header.default('x-signature'),
  timestampHeader: Header.default('x-timestamp'),
  signaturePrefix: z.string().default(''),
  payloadFormat: z.string().default('{timestamp}.{body}'),
  signatureEncoding: z.enum(['hex', 'base64']).default('hex'),
  secretIsBase64: z.boolean().default(false),
});
/** The body of `POST /credential`. */
const NewCredential = z.strictObject({
  provider: z.literal('webhook'),
  name: z.string().max(40).optional(),
  authenticationPlan: z.discriminatedUnion('type', [Bearer, Hmac]),
});
type Plan = z.infer<typeof NewCredential>['authenticationPlan'];
type Headers = Readonly<Record<string, string>>;

const signed = (plan: z.infer<typeof Hmac>, url: string, body: string, now: Date): Headers => {
  const timestamp = String(Math.floor(now.getTime() / 1_000));
  const parts: Headers = { timestamp, body, method: 'POST', url };
  const message = plan.payloadFormat.replace(/\{(timestamp|body|method|url)\}/g, (_, name: string) => parts[name] ?? '');
  const key = Buffer.from(plan.secretKey, plan.secretIsBase64 ? 'base64' : 'utf8');
  const signature = createHmac(plan.algorithm, key).update(message).digest(plan.signatureEncoding);
  return { [plan.timestampHeader]: timestamp, [plan.signatureHeader]: plan.signaturePrefix + signature };
};

const presented = ({ headerName, bearerPrefixEnabled, token }: z.infer<typeof Bearer>): Headers => ({
  [headerName]: bearerPrefixEnabled ? `Bearer ${token}` : token,
});

/** The credentials of one network. */
export const createCredentials = (newUuid: () => string) => {
  const plans = new Map<string, Plan>();
  return {
    /** Keeps a credential; undefined when the body is none. */
    add(body: unknown, now: Date) {
      const parsed = NewCredential.safeParse(body);
      if (!parsed.success) return undefined;
      const id = newUuid();
      plans.set(id, parsed.data.authenticationPlan);
      const at = now.toISOString();
      return { id, provider: 'webhook', name: parsed.data.name, orgId: ORG, createdAt: at, updatedAt: at };
    },
    /** The headers that prove a webhook. As any agent exists here, any credential does: one nobody made is a bearer token that reads as its id. */
    prove(id: string | undefined, url: string, body: string, now: Date): Headers {
      if (id === undefined) return {};
      const plan = plans.get(id) ?? Bearer.parse({ type: 'bearer', token: id });
      return plan.type === 'hmac' ? signed(plan, url, body, now) : presented(plan);
    },
  };
};

export type Credentials = ReturnType<typeof createCredentials>;
/** The organisation to which everything belongs. */
export const ORG = 'eb1c3a50-6f0e-4f1d-9a57-3c8c2f4b7d00';
