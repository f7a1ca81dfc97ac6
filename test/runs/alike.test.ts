import { afterEach, describe, test } from '@jest/globals';
import { setRoundedShapes } from '../../trainer-image/engine/engine.ts';
import { adapterCases } from '../parity/adapters.ts';
import { requireEqualPadded, requireNearAdapted, requireNearRounded } from '../trainer-image/alike.ts';
import { reference } from '../trainer-image/tiny-models.ts';

afterEach(() => setRoundedShapes(false));

describe('with padding the loss and the gradient of every architecture are those without:', () => {
  test.each(Object.keys(reference.cases))('%s', requireEqualPadded);
});

describe('in bfloat16 every architecture is near to itself in float32:', () => {
  test.each(Object.keys(reference.cases))('%s', requireNearRounded);
  test.each(Object.keys(adapterCases))('adapters, %s', requireNearAdapted);
});
