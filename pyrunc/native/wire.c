/* The decoder of a program (docs/internals.md, "The wire").
 *
 * All of a program is checked before its first operation runs: afterwards the same reader cannot fail, and
 * nothing is copied, since strings are used where they lie.  The program is sealed, so it cannot change between.
 */

struct argument {
	i64 i;         /* kinds i, n */
	const char *s; /* kinds s, b: the bytes; l, v: the first item */
	u32 n;         /* kinds s, b: length; l, v: number of items */
};

struct program {
	const u8 *first, *end; /* operations */
	u32 count;
	u32 pointers; /* the most that the lists of one operation need, NULLs included */
	bool waits;   /* holds a wait_start */
};

struct reader {
	const u8 *at, *end;
	const char *wrong; /* the first rule that was broken */
	u32 pointers;
};

#define HEADER 12u

static u64 little(const u8 *p, u32 bytes)
{
	u64 value = 0;
	for (u32 i = bytes; i--;)
		value = value << 8 | p[i];
	return value;
}

static const u8 *take(struct reader *r, u64 n)
{
	const u8 *start = r->at;
	if (r->wrong)
		return NULL;
	if (n > (u64)(r->end - r->at)) {
		r->wrong = "cut short";
		return NULL;
	}
	r->at += n;
	return start;
}

static u64 take_number(struct reader *r, u32 bytes)
{
	const u8 *p = take(r, bytes);
	return p ? little(p, bytes) : 0;
}

static void take_string(struct reader *r, struct argument *a)
{
	u32 n = (u32)take_number(r, 4);
	const u8 *p = take(r, (u64)n + 1);
	if (!p)
		return;
	for (u32 i = 0; i < n; i++)
		if (!p[i]) {
			r->wrong = "a NUL inside a string";
			return;
		}
	if (p[n]) {
		r->wrong = "a string without its NUL";
		return;
	}
	a->s = (const char *)p;
	a->n = n;
}

/* Items are at least 5 (a string) or 8 bytes long, so a count that cannot be true ends the loop early. */
static void take_items(struct reader *r, struct argument *a, bool strings)
{
	u32 count = (u32)take_number(r, 4);
	struct argument item;
	if (r->wrong)
		return;
	a->s = (const char *)r->at;
	a->n = count;
	if (count > (u64)(r->end - r->at) / (strings ? 5 : 8)) {
		r->wrong = "a count beyond the end";
		return;
	}
	r->pointers += count + 1;
	if (!strings)
		take(r, (u64)count * 8);
	else
		for (u32 i = 0; i < count && !r->wrong; i++)
			take_string(r, &item);
}

static void take_argument(struct reader *r, char kind, struct argument *a)
{
	const u8 *p;
	switch (kind) {
	case 'i':
	case 'n':
		a->i = (i64)take_number(r, 8);
		if (kind == 'n' && !r->wrong && (a->i < -1 || a->i >= SLOT_LIMIT))
			r->wrong = "a slot out of range";
		break;
	case 's':
		take_string(r, a);
		break;
	case 'b':
		a->n = (u32)take_number(r, 4);
		p = take(r, a->n);
		a->s = (const char *)p;
		break;
	default:
		take_items(r, a, kind == 'l');
	}
}

/* Reads one operation; its opcode, or OP_COUNT with r->wrong set. */
static u32 take_op(struct reader *r, struct argument a[MAX_ARGUMENTS])
{
	u32 opcode = (u32)take_number(r, 2), given = (u32)take_number(r, 2);
	if (!r->wrong && opcode >= OP_COUNT)
		r->wrong = "an unknown opcode";
	if (!r->wrong && given != strlen(shapes[opcode].kinds))
		r->wrong = "a wrong number of arguments";
	if (r->wrong)
		return OP_COUNT;
	r->pointers = 0;
	for (u32 i = 0; i < given; i++) {
		a[i] = (struct argument){0};
		take_argument(r, shapes[opcode].kinds[i], &a[i]);
	}
	return r->wrong ? OP_COUNT : opcode;
}

/* Checks everything; NULL, or what is wrong with the operation whose index is left in *index. */
static const char *check_program(struct program *p, const u8 *data, u64 length, u32 *index)
{
	struct argument a[MAX_ARGUMENTS];
	struct reader r = {.at = data, .end = data + length};
	u64 magic = take_number(&r, 4), stated = take_number(&r, 4);
	*index = ~0u;
	p->count = (u32)take_number(&r, 4);
	if (r.wrong || magic != MAGIC)
		return "it is of another version of pyrunc";
	if (stated != length)
		return "not as long as it says";
	p->first = r.at;
	p->end = r.end;
	for (u32 i = 0; i < p->count; i++) {
		u32 opcode = take_op(&r, a);
		*index = i;
		if (r.wrong)
			return r.wrong;
		if (r.pointers > p->pointers)
			p->pointers = r.pointers;
		p->waits |= opcode == OP_WAIT_START;
	}
	*index = ~0u;
	return r.at == r.end ? NULL : "more behind the last operation";
}

/* Iteration over lists that are known to be well formed. */
static const char *next_string(const char **cursor)
{
	const char *s = *cursor + 4;
	*cursor = s + little((const u8 *)*cursor, 4) + 1;
	return s;
}

static i64 number_at(const struct argument *a, u32 index)
{
	return (i64)little((const u8 *)a->s + (u64)index * 8, 8);
}
