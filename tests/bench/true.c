/* The smallest payload: exits at once. */
int main(void)
{
	return 0;
}
