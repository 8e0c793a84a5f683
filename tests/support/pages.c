/* pages MIB: fills so much memory and says "ready".  At SIGUSR1 it reads all of it and says "whole", or what is not; at
 * SIGUSR2 it writes all of it once more and says "written". */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MIX 0x9E3779B97F4A7C15u

static void fill(volatile uint64_t *word, size_t count)
{
	for (size_t i = 0; i < count; i++)
		word[i] = (i + 1) * MIX;
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1) << 20;
	size_t count = size / sizeof(uint64_t);
	uint64_t *word = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	if (word == MAP_FAILED || sigprocmask(SIG_BLOCK, &set, NULL))
		return 2;
	fill(word, count);
	puts("ready");
	fflush(stdout);
	while (!sigwait(&set, &got)) {
		size_t lost = 0;
		if (got == SIGUSR2) {
			fill(word, count);
			puts("written");
		} else {
			for (size_t i = 0; i < count; i++)
				lost += word[i] != (i + 1) * MIX;
			if (lost)
				printf("lost: %zu of %zu words\n", lost, count);
			else
				puts("whole");
		}
		fflush(stdout);
	}
	return 2;
}
