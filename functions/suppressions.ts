/** Suppressions: numbers that nobody in the account may dial. They win even over a call already claimed. */
import * as z from 'zod';
import { page, Suppression, SuppressionIn } from '../lib/contract.ts';
import { normalisePhone } from '../lib/domain/phone.ts';
import { notFound, Refusal } from '../lib/errors.ts';
import { importSuppressions, SuppressionReport } from '../lib/import-suppressions.ts';
import { sweepSoon } from '../lib/summarise.ts';
import { paged } from './respond.ts';
import { accountOf, PageQuery, route, type Route } from './route.ts';

const tag = 'Suppressions';

/** One number is on the list now; `added` is false when it was there before, and keeps its reason. */
const SuppressionAdded = z.object({ phone: z.string(), added: z.boolean() });

/** The number itself, or what is no number at all and hence names nothing. */
const ByPhone = z.object({
  phone: z.string().transform((text, context) => {
    const phone = normalisePhone(text, null);
    if (phone.ok) return phone.e164;
    context.addIssue(phone.message);
    return z.NEVER;
  }),
});

export const suppressionRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/suppressions',
    tag,
    summary: 'List suppressed numbers',
    auth: 'account',
    query: PageQuery,
    responses: { 200: page(Suppression) },
    handler: (call) =>
      paged(call.query, (after, limit) => call.deps.verbs.listSuppressions(accountOf(call), call.deps.now(), after, limit)),
  }),
  route({
    method: 'POST',
    path: '/v1/suppressions',
    tag,
    summary: 'Suppress a number (JSON), or every number of a CSV, streamed',
    auth: 'account',
    body: SuppressionIn,
    csv: true,
    creates: true,
    responses: { 200: SuppressionReport, 201: SuppressionAdded },
    async handler(call) {
      const { deps, body, csv } = call;
      const account = accountOf(call);
      if (csv) {
        const { stream, declaredBytes } = csv;
        try {
          return { status: 200, body: await importSuppressions(deps, account, stream, { declaredBytes }) };
        } finally {
          sweepSoon(deps); // the last leads of a campaign may have been among them
        }
      }
      const phone = normalisePhone(body.phone, null);
      if (!phone.ok) throw new Refusal(400, 'validation', `phone: ${phone.message}`, [{ field: 'phone', rule: phone.message }]);
      const row = { phone: phone.e164, reason: body.reason ?? null };
      const { added, mail_due } = await deps.verbs.addSuppressions(account, deps.now(), [row]);
      if (mail_due) sweepSoon(deps);
      return { status: 201, body: { phone: row.phone, added: added > 0 } };
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/suppressions/:phone',
    tag,
    summary: 'Let a number be dialled again',
    auth: 'account',
    params: ByPhone,
    responses: { 204: null },
    async handler(call) {
      const { deps, params } = call;
      if (!(await deps.verbs.deleteSuppression(accountOf(call), deps.now(), params.phone))) throw notFound();
      return { status: 204, body: undefined };
    },
  }),
];
