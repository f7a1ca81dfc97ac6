/** A small mistake that somebody could make, and the tests that must find it. */
export interface Fault {
  title: string;
  /** In trainer-image/. */
  file: string;
  /** Stands once in the file. */
  find: string;
  replace: string;
  /** In test/. */
  tests: string;
  /** Of these tests only those whose name matches: the others take long. */
  named?: string;
}

/** The source with the fault. Throws Error when its place is not there, or there twice. */
export function mutated({ file, find, replace }: Fault, source: string): string {
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`${file}: "${find}" stands ${parts.length - 1} times: mend it in test/faults`);
  return parts.join(replace);
}
