import { setRoundedShapes } from '../../trainer-image/engine/engine.ts';
import { shareOf, worstOf, type Parts } from '../parity/compared.ts';
import { sections } from '../parity/sections.ts';

/** Tables of docs/parity.md that a GPU makes anew, and which of their cases; all where none are named. */
const chosen: Record<string, readonly string[] | undefined> = {
  "The tiny Llama's whole gradient": undefined,
  Models: undefined,
  Adapters: undefined,
  'Losses of the tiny Llama on a fixed batch': ['sigmoid', 'ipo', 'aot', 'wpo_sigmoid', 'mpo_sigmoid+bco+sft'],
  'Runs of 20 steps of the tiny Llama': ['sigmoid', 'ipo', 'tr_dpo_sync4'],
  bfloat16: undefined,
};

/** Deviation of a case as a share of its tolerance, and the number that is nearest to it. */
function worst(parts: Parts): { share: number; text: string } {
  const number = worstOf(Object.values(parts).flat());
  const { what, own, theirs } = number;
  return { share: shareOf(number), text: `${what}: ${own} beside ${theirs}` };
}

/**
 * Compares with the committed numbers of TRL, transformers, PEFT and PyTorch, in shapes that repeat as a GPU has them, and
 * prints a line for each table. Returns whether all is within its tolerance.
 */
export async function compareAll(): Promise<boolean> {
  setRoundedShapes(true);
  let within = true;
  for (const [title, some] of Object.entries(chosen)) {
    const section = sections.find((each) => each.title === title);
    if (section === undefined) throw new Error(`docs/parity.md has no table '${title}'`);
    const { cases, compare } = section;
    let most = { share: 0, text: '' };
    const names = some ?? cases;
    for (const name of names) {
      const found = worst(await compare(name));
      if (!(found.share <= 1)) console.log(`NOT WITHIN  ${title}, ${name}: ${found.text}`);
      within &&= found.share <= 1;
      if (found.share > most.share) most = found;
    }
    console.log(`${title}: ${names.length} cases, at most ${(100 * most.share).toFixed(1)} % of the tolerance`);
  }
  setRoundedShapes(false);
  return within;
}
