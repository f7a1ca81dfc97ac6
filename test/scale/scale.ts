import { writeFileSync } from 'node:fs';
import { measureAll } from './measure.ts';

/** `npm run scale`: measures peak memory at small shapes, by which `npm run generate` checks and writes docs/scale.md. */
writeFileSync('test/scale/measured.json', `${JSON.stringify(measureAll(), null, 1)}\n`);
