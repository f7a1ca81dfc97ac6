/** A small mistake that somebody could make, and the tests that must find it. */
export interface Fault {
  title: string;
  /** Whose source it is in: the trainer's, unless said. */
  program?: 'operator';
  file: string;
  /** Stands once in the file. */
  find: string;
  replace: string;
  /** In test/. */
  tests: string;
  /** Of these tests only those whose name matches: the others take long. */
  named?: string;
}

/** The path of the source. */
export const sourceOf = ({ program, file }: Fault): string => `${program ?? 'trainer-image'}/${file}`;

/** The source with the fault. Throws Error when its place is not there, or there twice. */
export function mutated({ file, find, replace }: Fault, source: string): string {
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`${file}: "${find}" stands ${parts.length - 1} times: mend it in test/faults`);
  return parts.join(replace);
}
