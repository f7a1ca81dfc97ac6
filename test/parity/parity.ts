import { writeFileSync } from 'node:fs';
import type { Parts } from './compared.ts';
import { sectionText } from './report.ts';
import { sections, type Section } from './sections.ts';
import { tokenisation } from './tokenisation.ts';

/** `npm run parity`: makes every comparison with TRL, transformers and PyTorch, and writes docs/parity.md. */
const file = 'docs/parity.md';

function heading(): string {
  const { trl, transformers, torch, tokenizers } = tokenisation.versions;
  return `<!-- Made by \`npm run parity\`: do not edit. -->

# Parity

What the trainer computes, beside TRL ${trl}, transformers ${transformers}, tokenizers ${tokenizers} and PyTorch ${torch},
float32 on a CPU. Their numbers are in \`test/golden\`; the tests make the same comparisons.

A cell is about the number that comes nearest to its tolerance: how far ours is from theirs, and what share of the tolerance
that is. Other machines differ in the digits, not in the size.`;
}

async function compared(section: Section): Promise<string> {
  const results = new Map<string, Parts>();
  for (const name of section.cases) results.set(name, await section.compare(name));
  console.log(`${section.title}: ${results.size} compared`);
  return sectionText(section, results);
}

const texts = [heading()];
for (const section of sections) texts.push(await compared(section));
writeFileSync(file, `${texts.join('\n\n')}\n`);
console.log(`${file} is written`);
