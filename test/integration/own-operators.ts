import { afterAll, afterEach, beforeAll, jest } from '@jest/globals';
import { Workplace } from './workplace.ts';

/** The place of a file whose tests each start operators of their own: after each test there is none, and no leader. */
export let place: Workplace;

jest.setTimeout(180_000);
beforeAll(async () => {
  place = await Workplace.open();
});
afterEach(() => place.stopOperators());
afterAll(() => place?.close());
