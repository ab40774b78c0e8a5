import { hotLeadTests } from './hot-leads.ts';

await hotLeadTests(15_000);
