/* Forks as fast as it can: CHAINS processes that each replace themselves by a child, for ever, in sessions of their own,
 * deaf to what can be ignored.  The first process says "ready", and stays.  It adopts them, and as it ignores SIGCHLD the
 * kernel reaps them: the first process of the machine would have zombies faster than it can wait for them. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void chain(void) {
	for (;;) {
		pid_t pid = fork();
		if (pid > 0)
			_exit(0);
		if (pid == 0)
			setsid();
	}
}

int main(int argc, char **argv) {
	int chains = argc > 1 ? atoi(argv[1]) : 1;
	for (int signal = 1; signal < 32; signal++)
		if (signal != SIGKILL && signal != SIGSTOP)
			(void)sigaction(signal, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		return 1;
	for (int n = 0; n < chains; n++)
		if (fork() == 0)
			chain();
	if (write(1, "ready\n", 6) != 6)
		return 1;
	for (;;)
		pause();
}
