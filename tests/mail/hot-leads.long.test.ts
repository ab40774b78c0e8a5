import { hotLeadTests } from './hot-leads.ts';

await hotLeadTests(50_000);
