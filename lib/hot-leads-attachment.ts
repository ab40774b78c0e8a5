/** The summary mail's attachment: every hot lead once, best first, as a CSV that opens rightly in a spreadsheet. */
import { writeToBuffer } from 'fast-csv';
import { joined } from './domain/bytes.ts';
import { HOT_LEAD_COLUMNS, hotLeadRows } from './domain/hot-leads-csv.ts';
import { placeOf, type HotLead, type HotLeadPlace } from './verb-shapes.ts';

/** A page of hot leads, best first, after the place of the last one seen; empty at the end. */
export type HotLeadPages = (after: HotLeadPlace | null) => Promise<readonly HotLead[]>;

/** What was collected. `best` holds the first leads in any case; `base64` is null when there is none, or too much for a mail. */
export interface HotLeadList {
  best: readonly HotLead[];
  count: number;
  tooLarge: boolean;
  base64: string | null;
}

/** A multiple of three, so that the pieces of base64 join without padding between them. */
const PIECE = 24_576;

const base64Of = (bytes: Uint8Array): string => {
  const pieces: string[] = [];
  for (let from = 0; from < bytes.length; from += PIECE) {
    // Five times as fast as spreading the bytes.
    pieces.push(btoa(Reflect.apply(String.fromCharCode, String, bytes.subarray(from, from + PIECE))));
  }
  return pieces.join('');
};

/**
 * Collects the hot leads page by page and gives up as soon as they no longer fit, so that memory is bounded by `maxBytes`
 * whatever their number.
 *
 * @param maxBytes the most that the CSV may weigh before base64
 * @param best how many leads to keep for the mail itself
 */
export const collectHotLeads = async (
  pages: HotLeadPages,
  timeZone: string,
  maxBytes: number,
  best: number,
): Promise<HotLeadList> => {
  const seen = new Set<string>();
  const first: HotLead[] = [];
  const parts: Uint8Array[] = [];
  let size = 0;
  for (let after: HotLeadPlace | null = null; ;) {
    const page: readonly HotLead[] = await pages(after);
    const last = page.at(-1);
    if (!last) break;
    // A score that changes while we page may bring a lead a second time.
    const leads = page.filter(({ lead_id }) => !seen.has(lead_id));
    for (const lead of leads) seen.add(lead.lead_id);
    first.push(...leads.slice(0, Math.max(0, best - first.length)));
    const part = await writeToBuffer(hotLeadRows(leads, timeZone), {
      headers: after === null ? [...HOT_LEAD_COLUMNS] : false,
      writeBOM: after === null,
      rowDelimiter: '\r\n',
      includeEndRowDelimiter: true,
    });
    parts.push(part);
    size += part.length;
    if (size > maxBytes) return { best: first, count: seen.size, tooLarge: true, base64: null };
    after = placeOf(last);
  }
  return { best: first, count: seen.size, tooLarge: false, base64: seen.size > 0 ? base64Of(joined(parts)) : null };
};
