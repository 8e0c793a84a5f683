#include "probe.h"

#include <string.h>

static FILE *out;
static bool comma;

void json_begin(FILE *stream)
{
	out = stream;
	comma = false;
}

void json_end(void)
{
	putc('\n', out);
	fflush(out);
}

static void separate(void)
{
	if (comma)
		putc(',', out);
	comma = true;
}

static void quoted(const char *text, size_t length)
{
	putc('"', out);
	for (size_t at = 0; at < length; at++) {
		unsigned char c = (unsigned char)text[at];
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 32 || c == 127)
			fprintf(out, "\\u%04x", c);
		else
			putc(c, out);
	}
	putc('"', out);
}

void json_key(const char *key)
{
	separate();
	quoted(key, strlen(key));
	putc(':', out);
	comma = false;
}

void json_open(char bracket)
{
	separate();
	putc(bracket, out);
	comma = false;
}

void json_close(char bracket)
{
	putc(bracket, out);
	comma = true;
}

void json_text(const char *text, size_t length)
{
	separate();
	quoted(text, length);
}

void json_string(const char *text)
{
	json_text(text, strlen(text));
}

void json_number(long long value)
{
	separate();
	fprintf(out, "%lld", value);
}

void json_size(unsigned long long value)
{
	separate();
	fprintf(out, "%llu", value);
}

void json_bool(bool value)
{
	separate();
	fputs(value ? "true" : "false", out);
}

void json_error(int number)
{
	json_open('{');
	json_key("errno");
	json_number(number);
	json_close('}');
}
