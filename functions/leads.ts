/** Leads: uploaded as CSV or JSON, listed, and explained. */
import * as z from 'zod';
import { Explain, ImportReport, Lead, LeadsIn, LeadWithCalls, page } from '../lib/contract.ts';
import { LEAD_STATUSES, TEMPERATURES } from '../lib/domain/vocabulary.ts';
import { Refusal } from '../lib/errors.ts';
import { followUpload } from '../lib/follow.ts';
import { importCsv, importJson } from '../lib/import-leads.ts';
import { found, paged } from './respond.ts';
import { accountOf, ById, pageQuery, route, type Route } from './route.ts';

const tag = 'Leads';

export const leadRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/campaigns/:id/leads',
    tag,
    summary: 'Upload leads: a CSV, streamed, or JSON. Good rows go in, bad ones come back',
    auth: 'account',
    params: ById,
    query: z.strictObject({
      mapping: z.string().max(5000).optional().describe('For a CSV: a JSON object from our fields to the headers of the file'),
    }),
    body: LeadsIn,
    csv: true,
    creates: true,
    responses: { 200: ImportReport },
    refusals: [409],
    async handler(call) {
      const { deps, params, query, body, csv } = call;
      const account = accountOf(call);
      if (!csv && query.mapping) {
        const rule = 'only with a CSV';
        throw new Refusal(400, 'validation', `mapping: ${rule}`, [{ field: 'mapping', rule }]);
      }
      try {
        const report = csv
          ? await importCsv(deps, account, params.id, csv.stream, {
              mapping: query.mapping ?? null,
              declaredBytes: csv.declaredBytes,
            })
          : await importJson(deps, account, params.id, body.leads);
        return { status: 200, body: report };
      } finally {
        followUpload(deps, account);
      }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/campaigns/:id/leads',
    tag,
    summary: 'List the leads of a campaign',
    auth: 'account',
    params: ById,
    query: z.strictObject({
      ...pageQuery,
      status: z.enum(LEAD_STATUSES).optional(),
      temperature: z.enum(TEMPERATURES).optional(),
    }),
    responses: { 200: page(Lead) },
    handler: (call) => {
      const { deps, params, query } = call;
      const { status = null, temperature = null } = query;
      return paged(query, (after, limit) =>
        deps.verbs.listLeads(accountOf(call), deps.now(), params.id, status, temperature, after, limit, 'created'),
      );
    },
  }),
  route({
    method: 'GET',
    path: '/v1/leads/:id',
    tag,
    summary: 'One lead with its calls',
    auth: 'account',
    params: ById,
    responses: { 200: LeadWithCalls },
    async handler(call) {
      const { deps, params } = call;
      return { status: 200, body: found(await deps.verbs.getLead(accountOf(call), deps.now(), params.id)) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/leads/:id/explain',
    tag,
    summary: 'Why a lead is not being dialled now, and when it will be',
    auth: 'account',
    params: ById,
    responses: { 200: Explain },
    async handler(call) {
      const { deps, params } = call;
      const cap = deps.config.systemMaxConcurrentCalls;
      return { status: 200, body: found(await deps.verbs.explainLead(accountOf(call), deps.now(), params.id, cap)) };
    },
  }),
];
