/* The probe: the one program in the rootfs of a container under test.  It says as JSON what it sees, and tries what it
 * is asked to try.  It judges nothing.
 *
 * probe COMMAND [WORD...] [+ COMMAND [WORD...]]...     the commands one after the other; see main.c
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A writer of JSON, one value to one stream; what is not UTF-8 goes out as it is. */
void json_begin(FILE *stream);
void json_end(void);
void json_key(const char *key);
void json_open(char bracket);
void json_close(char bracket);
void json_text(const char *text, size_t length);
void json_string(const char *text);
void json_number(long long value);
void json_size(unsigned long long value);
void json_bool(bool value);
void json_error(int number); /* {"errno": number} */

/* Sections of the report. */
void report_process(char **argv);
void report_limits(void);
void report_places(void);

void hold_programs(void);

/* KIND=VALUE of a report's words, under the key "asked"; false for a kind that is unknown. */
bool report_asked(int count, char **words);
bool is_question(const char *word);

/* What a child has to tell: the result of a call and its errno. */
struct told {
	long value;
	int error;
};
void in_child(void (*work)(const char *, struct told *), const char *value, const char *success);

/* Answers to what the words ask for; see asked.c. */
void try_put(const char *path);
void try_peek(const char *path);
void try_pty(const char *path);
void try_clock(const char *number);
void try_bind(const char *port);
void try_host_name(const char *name);
void try_domain_name(const char *name);
void try_mount(const char *path);
void try_mount_bind(const char *path);
void try_call(const char *value);
void try_trap(const char *value);
void try_i386(const char *value);
void try_thread(const char *value);

/* The content of a file as a string, or its error. */
void json_file(const char *path);
/* What lstat says, and where a link leads, or the error. */
void json_stat(const char *path);

#endif
