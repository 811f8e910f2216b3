"""Bugs in the order of the generator's loads and stores; every interleaving of short programs must find each (mutants.py)."""
GEN = 'src/id/generator.c'
GENH = 'src/id/generator.h'
FINDS = 'unit.test_generator_interleave'

LOADS = ('    const uint64_t word = atomic_load_explicit(at, memory_order_acquire);\n'
         '    if (word & SF_GENERATOR_CLOSED)\n'
         '        return SF_MINT_CLOSED;\n')
LIMIT = '    const uint64_t limit = atomic_load_explicit(&gen->limit_word, memory_order_acquire);\n'
SLOT = '    const uint64_t slot_bits = atomic_load_explicit(&gen->slot_bits, memory_order_acquire);\n'
SWAP = ('    const uint64_t last = attempt->mint.first_word + attempt->mint.count - 1;\n'
        '    const bool taken = ')
OPEN_SLOT = ('    atomic_store(&gen->slot_bits, (datacenter << (gen->layout.worker_bits + sequence_bits)) |\n'
             '                                      (worker << sequence_bits));\n')
OPEN_LIMIT = '    atomic_store(&gen->limit_word, limit_word_of(gen, limit_ms));\n'
OPEN_COPY = ('    /* Whatever stood there of somebody else; nobody can be minting. Nothing has left at `word` yet, so\n'
             '     * the copy does not say so. */\n'
             '    const uint64_t left = before & ~SF_GENERATOR_CLOSED;\n'
             '    if (gen->copy != NULL)\n        atomic_store(gen->copy, left > last_word ? left : last_word);\n')
OPEN_WORD = '    atomic_store(gen->word, word);\n'
LOWER_STORE = '    SF_ASSERT(limit <= atomic_load(&gen->limit_word));\n    atomic_store(&gen->limit_word, limit);\n'
LOWER_ADD = '    const uint64_t before = atomic_fetch_add(gen->word, 1) & ~SF_GENERATOR_CLOSED;\n'
CLOSE = 'void sf_generator_close(struct sf_generator *gen)\n{\n    atomic_fetch_or(gen->word, SF_GENERATOR_CLOSED);\n'

BUGS = {
    'copy-ahead': (1, 'the copy of a generator that is opened says that one more was minted', [
        (GEN, OPEN_COPY, OPEN_COPY.replace('left > last_word ? left : last_word', 'word')),
    ], 'unit.test_generator'),
    'empty-in-a-child': (9, 'a mint that a fork fell into ends the child', [
        (GENH, '    if (at == NULL)\n        return false; /* a forked child', '    if (false)\n        return false; /* a forked child'),
    ], 'unit.test_generator_child'),
    'limit-before-word': ('order', 'the limit is loaded before the word', [
        (GENH, LOADS + LIMIT, LIMIT + LOADS),
    ], FINDS),
    'slot-before-word': ('order', 'the slot is loaded before the word', [
        (GENH, LOADS + LIMIT + SLOT, SLOT + LOADS + LIMIT),
    ], FINDS),
    'slot-after-swap': ('order', 'the slot is loaded when the IDs are made already', [
        (GENH, '            *ret = attempt.mint;\n',
         '            *ret = attempt.mint;\n            ret->slot_bits = atomic_load(&gen->slot_bits);\n'),
    ], FINDS),
    'limit-after-swap': ('order', 'the limit is looked at when the word is moved already', [
        (GENH, '    if (first >= limit)\n        return SF_MINT_EXHAUSTED;\n', ''),
        (GENH, '    const uint64_t room = (limit < horizon ? limit : horizon) - first;\n',
         '    const uint64_t room = first < limit && limit < horizon ? limit - first : horizon - first;\n'),
        (GENH, '            *ret = attempt.mint;\n            return SF_MINT_OK;\n',
         '            *ret = attempt.mint;\n'
         '            return ret->first_word < atomic_load(&gen->limit_word) ? SF_MINT_OK : SF_MINT_EXHAUSTED;\n'),
    ], FINDS),
    'store-for-swap': ('order', 'the word is stored, whatever it is by now', [
        (GENH, SWAP, SWAP.splitlines(True)[0] +
         '    atomic_store(gen->word, last);\n'
         '    if (attempt->mint.count > 0)\n'
         '        return true;\n' + SWAP.splitlines(True)[1]),
    ], FINDS),
    'swap-with-fresh-word': ('order', 'the word that is compared is loaded again before the swap', [
        (GENH, '    uint64_t word = attempt->word;\n', '    uint64_t word = atomic_load(gen->word);\n'),
    ], FINDS),
    'closed-looked-at-before': ('order', 'whether it is closed is looked at before the word that is used', [
        (GENH, LOADS,
         '    if (atomic_load(gen->word) & SF_GENERATOR_CLOSED)\n'
         '        return SF_MINT_CLOSED;\n'
         '    const uint64_t seen = atomic_load(gen->word);\n'
         '    const uint64_t word = seen & ~SF_GENERATOR_CLOSED;\n'),
        (GENH, '    ret->word = word;\n', '    ret->word = seen;\n'),
    ], FINDS),
    'open-word-before-slot': ('order', 'the word is opened before the slot is stored', [
        (GEN, OPEN_SLOT + OPEN_LIMIT + OPEN_COPY + OPEN_WORD, OPEN_LIMIT + OPEN_COPY + OPEN_WORD + OPEN_SLOT),
    ], FINDS),
    'open-word-before-limit': ('order', 'the word is opened before the limit is stored', [
        (GEN, OPEN_LIMIT + OPEN_COPY + OPEN_WORD, OPEN_COPY + OPEN_WORD + OPEN_LIMIT),
    ], FINDS),
    'open-same-word': ('order', 'opening brings back a word that stood there', [
        (GEN, '    uint64_t word = (before & ~SF_GENERATOR_CLOSED) + 1;\n', '    uint64_t word = before & ~SF_GENERATOR_CLOSED;\n'),
    ], FINDS),
    'lower-word-before-limit': ('order', 'the word is moved before the lower limit is stored', [
        (GEN, LOWER_STORE, ''),
        (GEN, LOWER_ADD, LOWER_ADD + LOWER_STORE),
    ], FINDS),
    'lower-word-stays': ('order', 'a lower limit is stored and the word is not moved', [
        (GEN, LOWER_ADD, LOWER_ADD.replace('atomic_fetch_add(gen->word, 1)', 'atomic_load(gen->word)')),
    ], FINDS),
    'lower-in-two': ('order', 'lowering loads the word and stores the next one', [
        (GEN, LOWER_ADD, LOWER_ADD.replace('atomic_fetch_add(gen->word, 1)', 'atomic_load(gen->word)')
         + '    atomic_store(gen->word, before + 1);\n'),
    ], FINDS),
    'close-in-two': ('order', 'closing loads the word and stores it with the bit', [
        (GEN, CLOSE, CLOSE.replace('atomic_fetch_or(gen->word, SF_GENERATOR_CLOSED)',
                                   'atomic_store(gen->word, atomic_load(gen->word) | SF_GENERATOR_CLOSED)')),
    ], FINDS),
    'after-by-sequence': ('AFTER', 'the sequence of another slot is passed, not its number', [
        (GEN, '    return least + mask > id ?', '    return true ? millisecond + (id & mask) + 1 : least + mask > id ?'),
        (GEN, '    if (least > id)\n        return millisecond;\n', ''),
    ], 'unit.test_generator'),
    'after-a-millisecond': ('AFTER', 'every AFTER takes the next millisecond, whatever the slots', [
        (GEN, '    if (least > id)\n        return millisecond;\n    return least + mask > id ?', '    return false ?'),
    ], 'unit.test_generator'),
}
