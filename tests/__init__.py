"""The tests of skmmd; they mirror the folders of the package."""
