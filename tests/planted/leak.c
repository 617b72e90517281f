/* Control of the leak check: LeakSanitizer must fail this. See `make planted-sanitizers`. */
#include <criterion/criterion.h>

static void *volatile kept;

Test(planted, leak)
{
    for (int i = 0; i < 8; i++)
        kept = malloc(1000);
    kept = NULL;
}
