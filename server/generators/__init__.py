"""What is generated, one file each: a `TARGET` from the root of the repository, and `render(root)`, its whole text.

`render` returns None where there is nothing to generate. A generator of many pages has a `FOLDER`, in which no other
page may lie, and `pages(root)`: path in the folder -> text.
"""
