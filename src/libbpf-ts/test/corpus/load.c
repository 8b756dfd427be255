// SPDX-License-Identifier: MIT
// Loads each object with libbpf, in a process of its own: prints "PATH\tloaded", or what failed and its errno.
#include <bpf/libbpf.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static int try(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	int error = libbpf_get_error(object);

	if (!object || error)
		return printf("%s\topen\t%d\n", path, -error), 0;
	error = bpf_object__load(object);
	if (error)
		return printf("%s\tload\t%d\n", path, -error), 0;
	return printf("%s\tloaded\t0\n", path), 0;
}

int main(int argc, char **argv)
{
	libbpf_set_print(quiet);
	for (int i = 1; i < argc; i++) {
		int status = 0;
		pid_t child = fork();

		if (child == 0) {
			try(argv[i]);
			fflush(stdout);
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 1;
		if (status != 0)
			printf("%s\tcrashed\t%d\n", argv[i], status);
		fflush(stdout);
	}
	return 0;
}
