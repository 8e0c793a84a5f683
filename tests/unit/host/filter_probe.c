/* filter_probe FILE NUMBER [ARGUMENT...]: sets the BPF program in FILE as the seccomp filter, makes the system
 * call, and prints its result and errno. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static struct sock_filter filter[4096];
	long args[7] = { 0 };
	int fd = open(argv[1], O_RDONLY);
	ssize_t size = read(fd, filter, sizeof filter);

	if (argc < 3 || argc > 9 || size <= 0)
		return 2;
	for (int i = 2; i < argc; i++)
		args[i - 2] = (long)strtoul(argv[i], NULL, 0);
	struct sock_fprog program = { (unsigned short)(size / 8), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
		perror("seccomp");
		return 3;
	}
	errno = 0;
	long result = syscall(args[0], args[1], args[2], args[3], args[4], args[5], args[6]);
	printf("%ld %d\n", result, result < 0 ? errno : 0);
	return 0;
}
