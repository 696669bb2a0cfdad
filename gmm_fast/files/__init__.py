"""What is written: archives of arrays, model files, tables, all in one piece or not at all."""
