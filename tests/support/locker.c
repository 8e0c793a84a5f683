/* locker FILE: holds an exclusive lock (flock(2)) of FILE, and counts.  locker FILE try: 1 while somebody else has it. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct timespec pause = {0, 200000000};
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0644) : -1;
	if (fd < 0)
		return 2;
	if (flock(fd, LOCK_EX | LOCK_NB))
		return 1;
	if (argc > 2)
		return 0;
	for (int i = 1;; i++) {
		printf("%d\n", i);
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
}
