"""Operations with a plain version and a faster one beside it."""
