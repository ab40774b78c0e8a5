/** The hot leads as rows of a CSV: the summary mail's attachment and the export are written from here, so they cannot differ. */
import { guardCell } from './csv-cells.ts';
import { isoClock } from './time-text.ts';

export const HOT_LEAD_COLUMNS = ['name', 'phone', 'score', 'temperature', 'email', 'company', 'call_at', 'summary'] as const;

/** What a row is made of. `call_at` is ISO 8601 in UTC. */
export interface HotLeadCells {
  name: string | null;
  phone: string;
  /** Null when only the provider's own tag says hot. */
  score: number | null;
  temperature: string;
  email: string | null;
  company: string | null;
  call_at: string;
  summary: string | null;
}

/** The guarded cells of hot leads in the order of {@link HOT_LEAD_COLUMNS}; `call_at` in the account's own zone. */
export const hotLeadRows = (leads: readonly HotLeadCells[], timeZone: string): string[][] => {
  const clock = isoClock(timeZone);
  return leads.map((lead) =>
    HOT_LEAD_COLUMNS.map((column) => guardCell(column === 'call_at' ? clock(lead.call_at) : lead[column])),
  );
};

/** `{campaign}_hot_leads.csv`, each run of characters other than `A–Z a–z 0–9 _ -` as one `_`. */
export const hotLeadsFileName = (campaignName: string): string =>
  `${campaignName.replace(/[^A-Za-z0-9_-]+/g, '_')}_hot_leads.csv`;
