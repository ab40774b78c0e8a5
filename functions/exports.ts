/** Downloads of a campaign: streamed, formula-safe CSV. */
import { streamErrorsCsv, streamHotLeadsCsv, streamLeadsCsv } from '../lib/export-csv.ts';
import { accountOf, ById, route, type Route } from './route.ts';

const download = (file: string, summary: string, stream: typeof streamLeadsCsv): Route =>
  route({
    method: 'GET',
    path: `/v1/campaigns/:id/${file}`,
    tag: 'Exports',
    summary,
    auth: 'account',
    params: ById,
    responses: { 200: 'text/csv' },
    async handler(call) {
      const { deps, params } = call;
      const rows = await stream(deps, accountOf(call), params.id);
      return { status: 200, stream: rows, type: 'text/csv; charset=utf-8', filename: file };
    },
  });

export const exportRoutes: readonly Route[] = [
  download('leads.csv', 'Every lead with its end, or why it was never dialled', streamLeadsCsv),
  download('hot-leads.csv', 'The hot leads, best first: as attached to the summary mail', streamHotLeadsCsv),
  download('errors.csv', 'The rows that could not be imported, to correct and upload again', streamErrorsCsv),
];
