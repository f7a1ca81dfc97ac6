/** What the example's conversations are made of. Topics for training and topics that training never sees. */
export const trainTopics = (
  'my bicycle|a leaking tap|the garden hedge|an old violin|a wool jumper|the kitchen knife|' +
  'a sourdough starter|the laptop battery|a cast iron pan|the balcony tomatoes|a squeaky door|the washing machine|' +
  'a leather bag|the fish tank|my running shoes|a wooden table|the coffee grinder|a photo album|' +
  'the bird feeder|my tax papers|a rain jacket|the attic window|a chess opening|naïve Bayes|' +
  'a résumé|the crème brûlée|el jardín|die Heizung|une vieille carte|自転車|' +
  'чайник|the guitar strings|a paper map|the compost heap|a slow router|the apple tree|' +
  'a ceramic vase'
).split('|');
export const heldOutTopics = (
  'the telescope|a piano lid|my tent|the letterbox|a silk scarf|the bread oven|' +
  'an ink printer|the rose bush|a wall clock|the ski boots|mein Fahrrad|la bibliothèque|' +
  '辞書|a train ticket|the drum kit'
).split('|');

export const questions = [
  'How do I take care of {t}?',
  'What should I know about {t}?',
  'I have a problem with {t}. Where do I start?',
  'Could you give me some advice about {t}, please?',
  'How can I keep {t} in good order for longer?',
  'Can you explain {t} to a beginner?',
];
export const followUps = [
  'And what comes after that?',
  'What if that is not enough?',
  'Can you say more?',
  'How often?',
];

/** Answers that help: they say what to do. */
export const helpful = [
  'First, clean {t} with a soft cloth and look for damage.',
  'Check all of the parts that move and tighten what is loose.',
  'Write down what you changed, so that you can undo it.',
  'Start with a small test and then wait for one day.',
  'Use warm water with a drop of soap, no more than that.',
  'Keep {t} dry and well away from the strong sun.',
  'Replace the part that is worn before it breaks.',
  'Do a little of the work on it every single week.',
  'Measure it twice and write both of the numbers down.',
  'Ask at a repair shop when a crack looks too deep.',
  'Read the short guide and follow all its three steps.',
  'Put a reminder for {t} in your calendar.',
];

/** Answers that talk beside the question: same length, same tone, no help. */
export const evasive = [
  'Well, {t} is a thing that many people talk about.',
  'It all depends on how one looks at such matters.',
  'Others have said a lot, and some of it was long.',
  'My cousin once had an opinion, but it was lost.',
  'One could think about it, or about lunch instead.',
  'That reminds me of {t} in a film from long ago.',
  'Who can say what is right in times like these.',
  'Perhaps the weather has something to do with it.',
  'There are questions, and there are more questions.',
  'Such things have always been the way they are.',
  'I would rather hear what the neighbours believe.',
  'In the end {t} will be whatever it wants to be.',
];

export const openings = ['Good question.', 'Let me see.', 'Thank you for asking.', 'Of course.'];
